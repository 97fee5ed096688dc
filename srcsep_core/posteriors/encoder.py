"""The encoder of amortised variational separation: from a mix to a posterior of every source, in one pass.

The thesis has one WaveNet encoder a source, each of which sees the mix and gives location and scale of a truncated
normal by sample; the one here does that (`shared` False), or is a single WaveNet with an output for every class. It is
told which classes sound, so that one set of weights serves mixes of any of them. Nothing here was ever shown what a
mix is made of: it is trained by the bound of `variational` under priors of single sources.

Sources: Frank 2020, "Modeling the posteriors"; Kingma and Welling 2014 (arXiv 1312.6114), section 2.3. The thesis
encodes for one set of classes; the condition on the classes is ours, as van den Oord et al. 2016 (arXiv 1609.03499),
section 2.5, condition a WaveNet.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srcsep_core.checks import check_waveform
from srcsep_core.config import check_least, check_positive
from srcsep_core.errors import InputError
from srcsep_core.nn.wavenet import WaveNet, WaveNetConfig

SHARES = (-4.0, 1.5)  # the log of a posterior's scale over the level of the priors, at least and at most


@dataclass(frozen=True)
class EncoderConfig:
    """Size of the encoder, what it takes, and the levels that it is trained at.

    A WaveNet of `layers` gated layers, `width` channels and a head of `head_width`; one for all classes (`shared`) or
    one a class. It takes windows of `window` samples of mixes of `counts` sources, each of another class. In training
    the priors' level falls geometrically from `sigma_max` to `sigma_min` (std), which it has reached after `fall` of
    all steps; the sum of the sources has noise of `slack` times the level, and the divergence from the priors the
    weight `beta`. `limit` is the largest value of a clean source.
    """

    layers: int = 10
    width: int = 32
    head_width: int = 64
    shared: bool = True
    window: int = 1024
    counts: tuple[int, ...] = (2,)
    sigma_max: float = 1.5
    sigma_min: float = 0.05
    fall: float = 0.9
    slack: float = 1.0
    beta: float = 1.0
    limit: float = 1.0

    def __post_init__(self) -> None:
        check_least(self, 1, "layers", "width", "head_width", "window")
        check_least(self, 0, "beta")
        if not 0 < self.sigma_min <= self.sigma_max:
            raise InputError(
                f"EncoderConfig has the levels {self.sigma_max:g} to {self.sigma_min:g}; use positive ones that fall"
            )
        if not self.counts or min(self.counts) < 1:
            raise InputError(f"EncoderConfig.counts is {self.counts}; name how many sources a mix may have")
        check_positive(self, "fall", "slack", "limit")

    def level(self, step: int, steps: int) -> float:
        """The priors' level at a step of training."""
        fallen = min(1.0, step / max(1.0, self.fall * (steps - 1)))
        return float(self.sigma_max * (self.sigma_min / self.sigma_max) ** fallen)


class Encoder(nn.Module):
    """Mixes and the classes in them to the location and the log-share of every source's posterior (`posterior_at`).

    `trained` counts the steps of training.
    """

    groups = 1
    trained: Tensor

    def __init__(self, config: EncoderConfig, classes: int) -> None:
        super().__init__()
        self.config, self.classes = config, classes
        outputs, groups = (2 * classes, 1) if config.shared else (2, classes)
        self.net = WaveNet(
            WaveNetConfig(
                in_channels=1,
                out_channels=outputs,
                layers=config.layers,
                width=config.width,
                groups=groups,
                head_width=config.head_width,
                context=classes,
            )
        )
        self.register_buffer("trained", torch.zeros((), dtype=torch.long))

    def forward(self, mix: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """Mixes (B, 1, T) and the numbers of their classes (B, K) to location and log-share, (B, K, T) each.

        Raises `InputError` for a bad mix, another window, another number of sources than it was trained for, and a
        class that comes twice.
        """
        config = self.config
        check_waveform(mix)
        batch, _, length = mix.shape
        if length != config.window:
            raise InputError(f"the mix has {length} samples but this encoder works on {config.window}; cut it")
        count = which.shape[1]
        if count not in config.counts:
            known = ", ".join(map(str, config.counts))
            raise InputError(
                f"there are {count} sources but this encoder was trained on mixes of {known}; name as many"
            )
        sounding = torch.zeros(batch, self.classes, dtype=torch.long, device=mix.device)
        sounding.scatter_add_(1, which, torch.ones_like(which))
        if int(sounding.max()) > 1:
            raise InputError("a class comes twice, and this encoder has one posterior a class; name each once")
        copies = 1 if config.shared else self.classes
        rows, context = (x.repeat_interleave(copies, dim=0) for x in (mix, sounding.to(mix)[..., None]))
        out = self.net(rows, context).view(batch, *((2, self.classes) if config.shared else (self.classes, 2)), length)
        location, log_share = out.unbind(dim=1 if config.shared else 2)
        index = which[..., None].expand(-1, -1, length)
        return mix + location.gather(1, index), log_share.gather(1, index).clamp(*SHARES)
