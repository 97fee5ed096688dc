"""What a profile is made of: how one kind of prior is trained, how priors are measured, what notebooks do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from srcsep_core.data.base import EvalConfig
from srcsep_core.training.config import TrainConfig


@dataclass(frozen=True)
class EvalPlan:
    """How the many sets of priors are measured; `Profile.evaluation` is for the noise-free ones.

    `noisy`: cross-likelihood of priors with a noise level; `oracle`: of the oracle; `long`: of all at the long
    length; `curve` and `long_curve`: noise curves; then the lengths of constant and random inputs (authors' code: 8000)
    and how many draws.
    """

    noisy: EvalConfig
    oracle: EvalConfig
    long: EvalConfig
    curve: EvalConfig
    long_curve: EvalConfig
    input_lengths: tuple[int, int]
    draws: tuple[int, int]


@dataclass(frozen=True)
class PagePlan:
    """How much the notebooks themselves measure and draw, beside what steps make.

    `modes`: signals whose plausible waves are counted; `scores`: signals on which flows' scores are measured;
    `denoised`: how many signals the denoiser's scores; `drift`: steps of the authors' Langevin dynamics, and of a
    gradient that is followed; `sampled`: samples of a signal drawn from a prior sample by sample.
    """

    modes: EvalConfig
    scores: EvalConfig
    denoised: int
    drift: int
    sampled: int


LAPTOP_PAGES = PagePlan(
    modes=EvalConfig(signals=24, length=4000),
    scores=EvalConfig(signals=12, length=2048),
    denoised=16,
    drift=300,
    sampled=7350,
)


@dataclass(frozen=True)
class KindPlan:
    """How one kind of prior is trained: its network, and one training configuration for each way.

    `train` is for noise-free priors (or the only way), `fine_tune` for a noise level from noise-free weights, `scratch`
    for one from fresh weights, `conditional` for `conditional_networks`, which take the noise level as an input, the
    narrowest range first. None: the kind is not trained that way. At the levels `ablated` objective and noise are also
    mixed. `background`: one more prior is trained as `train` says, of all sources as one. `teachers`: the kinds
    whose priors teach one that learns from priors, a set for each; `oracle`: the true ones. `step_seconds`: what a
    training step takes on one core, about; None: never timed.
    """

    network: Any
    train: TrainConfig
    fine_tune: TrainConfig | None = None
    scratch: TrainConfig | None = None
    conditional: TrainConfig | None = None
    conditional_networks: tuple[Any, ...] = ()
    ablated: tuple[float, ...] = ()
    background: bool = False
    teachers: tuple[str, ...] = ()
    step_seconds: float | None = None

    @property
    def window(self) -> int:
        """The length of signals (samples) that the priors work on: the network's own, or the crop trained on."""
        return int(getattr(self.network, "window", self.train.crop))


LAPTOP_TRAIN = TrainConfig(
    steps=2400,
    batch_size=8,
    crop=2048,
    learning_rate=3e-3,
    schedule="cosine",
    milestones=(),
    warmup_steps=50,
    clip_norm=50.0,
    checkpoint_every=100,
)
SMOKE_TRAIN = replace(LAPTOP_TRAIN, steps=40, crop=1024, warmup_steps=10, checkpoint_every=20)
FULL_TRAIN = TrainConfig(mixed_precision=True)
DENOISER_TRAIN = replace(
    LAPTOP_TRAIN, steps=9000, crop=1024, learning_rate=1e-3, warmup_steps=100, clip_norm=1.0, mixed_precision=True
)
