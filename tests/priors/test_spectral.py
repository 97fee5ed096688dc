"""Spectral priors: what the features are, that the density is the flow's, what it cannot see, and what is refused.

That the flow is a bijection with the right log-determinant, and so its density of the features integrates to one, is in
`tests/flows/test_transform_contract.py`, where both kinds are; here one of two bands is summed over a grid.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

from srcsep_core.data.toy import SOURCES, ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.priors.base import DensityPrior, has_noisy_density
from srcsep_core.priors.flow_parts import FlowConfig
from srcsep_core.priors.kinds import Kind
from srcsep_core.priors.spectral import (
    MEL_FLOW,
    STFT_FLOW,
    MelConfig,
    SpectralConfig,
    SpectralPrior,
    SpectralSet,
    StftConfig,
    spectral_flow,
)
from srcsep_core.run.profiles import get_profile
from srcsep_core.training.config import TrainConfig
from srcsep_core.training.loop import train

CPU = torch.device("cpu")
MEL = MelConfig(blocks=3, flows=2, layers=1, width=4, fft=64, hop=16)
STFT = StftConfig(blocks=3, flows=2, layers=1, width=4, fft=16, hop=8)
Perturb = Callable[..., None]
both = pytest.mark.parametrize("config", [MEL, STFT], ids=["mel", "stft"])


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def prior_of(config: SpectralConfig, perturb: Perturb) -> SpectralPrior:
    flow = spectral_flow(config).double().eval()
    perturb(flow, 0.1)
    return SpectralPrior(flow, config)


def set_of(config: SpectralConfig, perturb: Perturb) -> SpectralSet:
    flow = spectral_flow(config, len(SOURCES)).double().eval()
    perturb(flow, 0.1)
    return SpectralSet(SOURCES, ToyWorld(), 0.0, pd.DataFrame(), Path(), flow=flow, config=config)


def test_mel_bands_are_those_of_torchaudio() -> None:
    config, x = MelConfig(), 0.3 * randn(2, 1, 800)
    edge = (config.fft - config.hop) // 2
    theirs = MelSpectrogram(
        config.sample_rate, config.fft, hop_length=config.hop, n_mels=config.bands, center=False
    ).double()(torch.nn.functional.pad(x[:, 0], (edge, edge)))
    scale = (2 / torch.hann_window(config.fft, dtype=x.dtype).sum()) ** 2
    torch.testing.assert_close(config.power(x), scale * theirs, rtol=1e-6, atol=1e-9)


def test_bins_are_those_of_the_fourier_transform_of_each_windowed_frame() -> None:
    config, x = StftConfig(), 0.3 * randn(1, 1, 800)
    padded = torch.nn.functional.pad(x[0, 0], (48, 48))
    window = torch.hann_window(256, dtype=x.dtype)
    for frame in range(5):
        part = padded[160 * frame : 160 * frame + 256] * window
        wanted = ((torch.fft.rfft(part).abs() * 2 / window.sum()) ** 2 + 1e-6).log()[:-1]
        torch.testing.assert_close(config.features(x)[0, :, frame], wanted, rtol=1e-9, atol=1e-9)


def test_a_sine_of_amplitude_one_has_no_decibels_and_silence_the_floor() -> None:
    config = StftConfig()
    tone = (2 * math.pi * 16 * torch.arange(1600, dtype=torch.float64) / 256).cos()[None, None]
    features = config.features(tone)
    assert float(features[0, 16, 5]) == pytest.approx(0, abs=1e-4) and int(features[0, :, 5].argmax()) == 16
    assert torch.allclose(config.features(0 * tone), torch.tensor(-6 * math.log(10), dtype=torch.float64))


@both
def test_there_is_a_frame_to_every_hop_and_values_lie_frame_after_frame(config: SpectralConfig) -> None:
    for frames in (1, 2, 7):
        x = randn(2, 3, frames * config.hop)
        features = config.features(x.reshape(6, 1, -1))
        assert features.shape == (6, config.bands, frames)
        values = config.values(x)
        assert values.shape == (2, 3, config.bands * frames)
        assert torch.equal(values[1, 2].view(frames, config.bands), features[5].T)


@both
def test_gradient_is_the_derivative_of_the_density_of_the_features(config: SpectralConfig, perturb: Perturb) -> None:
    prior, x = prior_of(config, perturb), 0.3 * randn(1, 1, 64)
    direction = randn(1, 1, 64, seed=1)
    direction /= direction.norm()
    step = 1e-6
    with torch.no_grad():
        ends = prior.feature_log_prob(torch.cat([x - step * direction, x + step * direction]))
    numeric = float(ends[1] - ends[0]) / (2 * step)
    gradient = prior.gradient(x)
    assert gradient.shape == x.shape and not gradient.requires_grad
    assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=1e-5)


@both
def test_density_is_blind_to_the_sign_and_so_no_density_of_the_signal(config: SpectralConfig, perturb: Perturb) -> None:
    prior, x = prior_of(config, perturb), 0.3 * randn(2, 1, 64)
    torch.testing.assert_close(prior.feature_log_prob(-x), prior.feature_log_prob(x), rtol=0, atol=1e-9)
    torch.testing.assert_close(prior.gradient(-x), -prior.gradient(x), rtol=0, atol=1e-8)
    assert not isinstance(prior, DensityPrior) and not has_noisy_density(prior)
    assert not hasattr(prior, "score") and not hasattr(prior, "denoise")


@pytest.mark.parametrize("config", [MelConfig(fft=256), StftConfig()], ids=["mel", "stft"])
def test_the_phase_of_a_steady_sine_shows_in_the_frames_at_the_ends_alone(config: SpectralConfig) -> None:
    time = torch.arange(1600, dtype=torch.float64)
    one, other = (config.features((0.4 * time + phase).sin()[None, None])[0] for phase in (0.0, 1.0))
    middle = (one - other)[:, 1:-1].abs().max()
    ends = (one - other)[:, [0, -1]].abs().max()
    assert float(middle) < config.jitter and float(ends) > 10 * float(middle)


@both
def test_sources_do_not_mix_and_one_cut_out_is_the_same(config: SpectralConfig, perturb: Perturb) -> None:
    found, x = set_of(config, perturb), 0.3 * randn(3, len(SOURCES), 64)
    values = found.likelihoods(x)
    assert list(values) == ["spectral"]
    count = config.bands * 64 // config.hop
    rows = [found.prior(name).feature_log_prob(x[:, k : k + 1]) / count for k, name in enumerate(SOURCES)]
    torch.testing.assert_close(values["spectral"], torch.stack(rows, dim=1).detach(), rtol=0, atol=1e-9)
    changed = x.clone()
    changed[:, 1] += 0.1
    same = (found.likelihoods(changed)["spectral"] - values["spectral"]).abs().max(dim=0).values < 1e-12
    assert same.tolist() == [True, False, True, True]


@torch.no_grad()
def test_density_of_a_frame_of_two_bands_sums_to_one(perturb: Perturb) -> None:
    flow = spectral_flow(FlowConfig(blocks=1, flows=2, layers=1, width=4, split_every=0)).double().eval()
    perturb(flow, 0.1)
    axis = torch.arange(-8, 8, 0.05, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis).reshape(-1, 1, 2)
    assert float(flow.log_prob(grid).exp().sum() * 0.05**2) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kind", [MEL_FLOW, STFT_FLOW], ids=lambda kind: kind.name)
def test_loss_falls_and_says_its_unit(kind: Kind, tmp_path: Path) -> None:
    plan = get_profile("smoke").plan_of(kind.name)
    task = kind.task(plan.network, len(SOURCES), "likelihood")
    assert task.unit == "nats/value" and task.multiple_of == plan.network.hop
    training = replace(plan.train, learning_rate=1e-2)
    curve = train(task, ToyWorld(), training, device=CPU, work_folder=tmp_path).curve
    loss = curve.pivot(index="step", columns="source", values="loss")
    assert (loss.iloc[-1] < loss.iloc[0] - 0.1).all()
    total = -(curve["log_pz"] + curve["log_det"])
    torch.testing.assert_close(torch.tensor(total), torch.tensor(curve["loss"]), rtol=0, atol=1e-4)


def test_jitter_is_the_generators_and_keeps_empty_bands_from_counting(tmp_path: Path) -> None:
    task = STFT_FLOW.task(STFT, 1, "likelihood")
    flow, silence = task.build().eval(), torch.zeros(4, 1, 64)
    first, again, other = (task.losses(flow, silence, torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    training = TrainConfig(steps=40, batch_size=8, crop=64, learning_rate=1e-2, checkpoint_every=40)

    class Silence(ToyWorld):
        def draw(self, batch: int, length: int, *_: object, **__: object) -> Tensor:
            return torch.zeros(batch, 1, length)

    world = Silence(sources=("sine",))
    curve = train(task, world, training, device=CPU, work_folder=tmp_path).curve
    entropy = math.log(STFT.jitter * math.sqrt(2 * math.pi * math.e))
    assert curve["loss"].iloc[-1] == pytest.approx(entropy, abs=0.05), "no more than the jitter allows"


@both
def test_bad_signals_are_named(config: SpectralConfig, perturb: Perturb) -> None:
    prior, found = prior_of(config, perturb), set_of(config, perturb)
    hop, good = config.hop, torch.zeros(2, 1, 64, dtype=torch.float64)
    for x, message in (
        (good[..., : hop - 1], f"too short: {hop - 1} samples where the model takes multiples of {hop}"),
        (good[..., :-1], f"the length 63 is not a multiple of {hop}; cut the signal to {64 - hop} samples"),
        (good + math.nan, "128 of 128 samples are NaN or infinite; clean the signal first"),
    ):
        for method in (prior.features, prior.feature_log_prob, prior.gradient):
            with pytest.raises(InputError, match=message):
                method(x)
        with pytest.raises(InputError, match=message.replace("128 of 128", "512 of 512")):
            found.likelihoods(x.expand(-1, len(SOURCES), -1))
    with pytest.raises(InputError, match=r"trained at sigma 0, not 0\.1"):
        found.at(0.1)
    with pytest.raises(InputError, match="a prior is of one source"):
        SpectralPrior(found.flow, config)


def test_senseless_sizes_are_named() -> None:
    for make, message in (
        (lambda: StftConfig(fft=512), r"StftConfig.fft is 512, but 2\*\*blocks is 128 bins; use 256"),
        (lambda: MelConfig(hop=161), "MelConfig has windows of 512 every 161; use even numbers"),
        (lambda: MelConfig(hop=0), "MelConfig.hop is 0; use at least 1"),
        (lambda: MelConfig(jitter=0.0), "MelConfig.jitter is 0.0; use a number above 0"),
        (lambda: MelConfig(split_every=2), "MelConfig.split_every is 2; a flow of spectra has one scale, use 0"),
    ):
        with pytest.raises(InputError, match=message):
            make()
