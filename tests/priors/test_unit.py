"""Priors in a unit: a sampler does the same to quieter signals and levels, and the toy world is as it was."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from analytic import Gaussian

from srcsep_core.data.rendered import RenderedWorld
from srcsep_core.data.toy import ToyWorld
from srcsep_core.nn.denoiser import PreconditionedNet
from srcsep_core.nn.stem_denoiser import StemDenoiserConfig
from srcsep_core.priors.base import DenoisingPrior, SharingPrior
from srcsep_core.priors.denoiser import ClassDenoiser
from srcsep_core.priors.unit import in_unit
from srcsep_core.samplers.asking import denoise_each, shared_denoiser

CONFIG = StemDenoiserConfig(classes=2, channels=(8, 16), strides=(4,), middle=1, heads=2, window=256)


@dataclass(frozen=True)
class Quiet(ToyWorld):
    """The toy world, said to be a tenth as loud."""

    name: ClassVar[str] = "quiet"

    @property
    def unit(self) -> float:
        return 0.1


def denoisers() -> dict[str, DenoisingPrior]:
    net = PreconditionedNet(CONFIG).eval()
    torch.nn.init.normal_(net.net.head[2].weight, std=0.1)  # type: ignore[arg-type]
    return {name: ClassDenoiser(net, k) for k, name in enumerate(("sine", "saw"))}


def test_the_toy_world_counts_in_its_own_unit() -> None:
    priors = denoisers()
    assert ToyWorld().unit == 1.0 and in_unit(priors, ToyWorld()) == priors


def test_what_is_asked_in_the_unit_is_answered_in_it() -> None:
    priors, x = denoisers(), torch.randn(3, 1, 256, generator=torch.Generator().manual_seed(1))
    for name, prior in in_unit(priors, Quiet()).items():
        torch.testing.assert_close(prior.denoise(x, 0.5), priors[name].denoise(0.1 * x, 0.05) / 0.1)
    wide = in_unit({"sine": Gaussian(0.0, 1.0)}, Quiet())["sine"]
    torch.testing.assert_close(wide.denoise(x, 0.5), x / (1 + 0.05**2))


def test_they_still_share_their_network() -> None:
    priors = list(in_unit(denoisers(), Quiet()).values())
    assert all(isinstance(prior, SharingPrior) for prior in priors) and shared_denoiser(priors) is not None
    x = torch.randn(2, 2, 256, generator=torch.Generator().manual_seed(2))
    each = torch.stack([prior.denoise(x[:, k, None], 0.3)[:, 0] for k, prior in enumerate(priors)], dim=1)
    torch.testing.assert_close(denoise_each(priors, x, 0.3), each)


def test_songs_are_as_loud_as_toy_sources_in_their_unit() -> None:
    world = RenderedWorld()
    loud = [rms / world.unit for rms in world.typical_rms.values()]
    toy = list(ToyWorld().typical_rms.values())
    assert 0.8 < (sum(loud) / len(loud)) / (sum(toy) / len(toy)) < 1.25
