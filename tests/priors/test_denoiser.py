"""The denoiser: its preconditioning, its loss, its score and samples, and what it cannot take."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from srcsep_core.data.toy import ToyWorld, draw_sources
from srcsep_core.errors import InputError
from srcsep_core.nn.blocks import Attention, _rotate
from srcsep_core.nn.denoiser import DenoiserConfig, DenoiserNet
from srcsep_core.priors.denoiser import ClassDenoiser, PreconditionedNet, denoiser_task, karras_levels
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.steps import CURVE, WEIGHTS, TrainPriors
from srcsep_core.run.store import Store
from srcsep_core.training.config import TrainConfig
from srcsep_core.training.loop import train

TINY = DenoiserConfig(classes=2, channels=(8, 16), strides=(4,), middle=1, heads=2, window=32)
DATA = ToyWorld(sources=("sine", "square"))
MakeDenoiser = Callable[..., PreconditionedNet]


@pytest.fixture
def make_denoiser(perturb: Callable[..., None]) -> MakeDenoiser:
    """A function that makes a denoiser with random weights, in evaluation mode."""

    def make(config: DenoiserConfig = TINY) -> PreconditionedNet:
        denoiser = PreconditionedNet(config).eval()
        perturb(denoiser, 0.1)
        return denoiser

    return make


@pytest.fixture
def prior(make_denoiser: MakeDenoiser) -> ClassDenoiser:
    return ClassDenoiser(make_denoiser(), 1)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def levels(count: int, sigma: float) -> Tensor:
    return torch.full((count,), sigma)


def zeroed(denoiser: PreconditionedNet) -> PreconditionedNet:
    """The same with a network that is zero everywhere."""
    torch.nn.init.zeros_(denoiser.net.head[2].weight)  # type: ignore[arg-type]
    torch.nn.init.zeros_(denoiser.net.head[2].bias)  # type: ignore[arg-type]
    return denoiser


# Preconditioning


@torch.no_grad()
def test_signal_without_noise_stays_as_it_is(make_denoiser: MakeDenoiser) -> None:
    x = noise(4, 1, 32)
    found = make_denoiser()(x, levels(4, 1e-4), torch.zeros(4, dtype=torch.long))
    assert (found - x).abs().max() < 1e-3


@torch.no_grad()
def test_estimate_from_pure_noise_has_the_scale_of_the_data(make_denoiser: MakeDenoiser) -> None:
    """The input is scaled to unit variance, so that the network's output does not grow with the noise."""
    denoiser, label = make_denoiser(), torch.zeros(4, dtype=torch.long)
    found, again = (denoiser(s * noise(4, 1, 32), levels(4, s), label) for s in (1e3, 1e4))
    assert found.abs().max() < 10 * TINY.sigma_data and again.abs().max() < 10 * TINY.sigma_data
    raw = denoiser.raw(1e4 * noise(4, 1, 32), levels(4, 1e4), label)
    torch.testing.assert_close(again, TINY.sigma_data * raw, rtol=0, atol=1e-3)


@pytest.mark.parametrize("sigma", [0.01, 0.65, 10.0])
@torch.no_grad()
def test_network_is_given_unit_variance_and_a_quarter_of_log_sigma(sigma: float, make_denoiser: MakeDenoiser) -> None:
    denoiser, given = make_denoiser(), list[tuple[Tensor, ...]]()
    denoiser.net.register_forward_pre_hook(lambda _, inputs: given.append(inputs))
    noisy = TINY.sigma_data * noise(200, 1, 32, seed=1) + sigma * noise(200, 1, 32, seed=2)
    denoiser(noisy, levels(200, sigma), torch.ones(200, dtype=torch.long))
    x, condition, label = given[0]
    assert x.std().item() == pytest.approx(1, rel=0.03) and label.eq(1).all()
    torch.testing.assert_close(condition, levels(200, math.log(sigma) / 4))


@pytest.mark.parametrize("sigma", [0.01, 0.65, 10.0])
@torch.no_grad()
def test_zero_network_is_the_wiener_filter_of_the_data(sigma: float, make_denoiser: MakeDenoiser) -> None:
    x = noise(4, 1, 32)
    found = zeroed(make_denoiser())(x, levels(4, sigma), torch.zeros(4, dtype=torch.long))
    torch.testing.assert_close(found, TINY.sigma_data**2 / (TINY.sigma_data**2 + sigma**2) * x)


@torch.no_grad()
def test_loss_of_a_zero_network_is_one_for_data_of_the_assumed_scale(make_denoiser: MakeDenoiser) -> None:
    """At every level: whatever the levels drawn are."""
    clean = TINY.sigma_data * noise(500, 2, 32, seed=1)
    for mean in (-4.0, 0.0, 3.0):
        denoiser = zeroed(make_denoiser(replace(TINY, log_sigma_mean=mean)))
        loss = denoiser.loss(clean, torch.Generator().manual_seed(0))
        assert loss.shape == (2,)
        torch.testing.assert_close(loss, torch.ones(2), rtol=0, atol=0.03)


@torch.no_grad()
def test_loss_is_the_weighted_error_of_the_denoiser(make_denoiser: MakeDenoiser) -> None:
    """Weight (sigma^2 + sigma_data^2) / (sigma sigma_data)^2, every class in its own channel."""
    denoiser = make_denoiser(replace(TINY, log_sigma_mean=math.log(0.3), log_sigma_std=1e-9))
    clean = noise(50, 2, 32, seed=1)
    generator = torch.Generator().manual_seed(5)
    loss = denoiser.loss(clean, generator)
    generator = torch.Generator().manual_seed(5)
    torch.randn(100, generator=generator)
    noisy = clean.view(100, 1, 32) + 0.3 * torch.randn(100, 1, 32, generator=generator)
    error = denoiser(noisy, levels(100, 0.3), torch.tensor([0, 1]).repeat(50)) - clean.view(100, 1, 32)
    weight = (0.3**2 + TINY.sigma_data**2) / (0.3 * TINY.sigma_data) ** 2
    expected = weight * error.square().mean(dim=(1, 2)).view(50, 2).mean(dim=0)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)


# The network


@torch.no_grad()
def test_class_and_level_matter_and_rows_do_not_mix(make_denoiser: MakeDenoiser) -> None:
    net, x = make_denoiser().net, noise(3, 1, 32)
    zero, one = torch.zeros(3, dtype=torch.long), torch.ones(3, dtype=torch.long)
    here = net(x, levels(3, 0.2), zero)
    assert (net(x, levels(3, 0.2), one) - here).abs().max() > 1e-3
    assert (net(x, levels(3, 0.3), zero) - here).abs().max() > 1e-3
    torch.testing.assert_close(net(x[1:2], levels(1, 0.2), zero[:1]), here[1:2], rtol=0, atol=1e-5)


@torch.no_grad()
def test_fresh_network_is_constant_and_every_sample_reaches_every_other(make_denoiser: MakeDenoiser) -> None:
    label = torch.zeros(1, dtype=torch.long)
    assert DenoiserNet(TINY)(noise(1, 1, 32), levels(1, 0.0), label).std() < 1e-6
    net, x = make_denoiser().net, noise(1, 1, 32)
    moved = x.clone()
    moved[..., 0] += 1
    difference = net(moved, levels(1, 0.0), label) - net(x, levels(1, 0.0), label)
    assert (difference.abs() > 1e-7).all()


@torch.no_grad()
def test_attention_knows_distances_and_not_places(perturb: Callable[..., None]) -> None:
    """Queries and keys are turned by their place, so that a product of the two depends on the distance alone."""
    one, other = noise(1, 2, 1, 8, seed=1), noise(1, 2, 1, 8, seed=2)
    query, key = _rotate(one.expand(1, 2, 6, 8)), _rotate(other.expand(1, 2, 6, 8))
    product = (query @ key.mT)[0, 0]
    for offset in range(-5, 6):
        along = product.diagonal(offset)
        torch.testing.assert_close(along, along[:1].expand_as(along), rtol=0, atol=1e-5)
    assert product[0].std() > 1e-2
    torch.testing.assert_close(query.norm(dim=3), one.norm(dim=3).expand(1, 2, 6))
    attention, x = Attention(16, 2), noise(2, 16, 5)
    assert (attention(x) - x).std(dim=2).max() < 1e-6, "a fresh one adds a constant"
    perturb(attention)
    assert (attention(x) - x).std(dim=2).min() > 1e-4


# The prior


class Gaussian(PreconditionedNet):
    """In place of a trained network: the exact posterior mean under N(mean, variance I), mean by class."""

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        mean = (0.4 * label - 0.2)[:, None, None]
        return mean + 0.09 / (0.09 + sigma.square())[:, None, None] * (x - mean)


def test_samples_have_the_law_that_the_score_belongs_to() -> None:
    denoiser = Gaussian(TINY)
    for label, mean in enumerate((-0.2, 0.2)):
        found = ClassDenoiser(denoiser, label).sample((500, 1, 32), torch.Generator().manual_seed(label))
        assert found.mean().item() == pytest.approx(mean, abs=0.01)
        assert found.std().item() == pytest.approx(0.3, rel=0.02)


# Levels


def test_levels_are_those_of_karras() -> None:
    """Eq. 5 of their paper at their rho, and a straight line at rho 1."""
    found = karras_levels(80.0, 0.002, 18)
    assert len(found) == 18 and found[0] == pytest.approx(80) and found[-1] == pytest.approx(0.002)
    assert found[1] == pytest.approx((80 ** (1 / 7) + (0.002 ** (1 / 7) - 80 ** (1 / 7)) / 17) ** 7)
    assert all(before > after for before, after in itertools.pairwise(found))
    assert karras_levels(3.0, 1.0, 5, rho=1.0) == pytest.approx([3.0, 2.5, 2.0, 1.5, 1.0])
    assert karras_levels(3.0, 1.0, 5, rho=7.0)[2] < 2.0
    assert karras_levels(3.0, 1.0, 1) == [3.0]


@pytest.mark.parametrize(("high", "low", "steps"), [(1.0, 2.0, 3), (1.0, 0.0, 3), (1.0, 0.5, 0)])
def test_senseless_levels_are_refused(high: float, low: float, steps: int) -> None:
    with pytest.raises(InputError, match=f"cannot space {steps} levels from sigma {high} to {low}"):
        karras_levels(high, low, steps)


# Training


def test_training_lowers_the_loss_of_every_class(tmp_path: Path) -> None:
    config = TrainConfig(steps=120, batch_size=16, crop=32, learning_rate=3e-3, checkpoint_every=120)
    trained = train(denoiser_task(TINY), DATA, config, device=torch.device("cpu"), work_folder=tmp_path)
    assert list(trained.curve) == ["step", "source", "loss", "learning_rate"]
    for _, curve in trained.curve.groupby("source"):
        assert curve["loss"].iloc[-4:].mean() < 0.8 * curve["loss"].iloc[:2].mean()
    denoiser = trained.network
    assert isinstance(denoiser, PreconditionedNet)
    clean = draw_sources(DATA, 100, 32, torch.Generator().manual_seed(9))
    noisy = clean + 0.5 * noise(100, 2, 32)
    errors = [(ClassDenoiser(denoiser, k).denoise(noisy[:, k : k + 1], 0.5) - clean[:, k : k + 1]) for k in (0, 1)]
    assert torch.cat(errors).square().mean() < 0.6 * 0.25


STEP = TrainPriors(
    "denoiser",
    label="tiny",
    data=DATA,
    train=TrainConfig(steps=4, batch_size=2, crop=32, learning_rate=1e-2, checkpoint_every=2),
    network=TINY,
)


@pytest.fixture
def line(tmp_path: Path) -> Pipeline:
    """A pipeline with an empty cache and nothing shipped."""
    return Pipeline(Store(tmp_path / "cache"), train=True)


def test_step_trains_priors_that_are_loaded_again(line: Pipeline, tmp_path: Path) -> None:
    found = line.priors(STEP)
    weights = load_file(line.run(STEP) / WEIGHTS)
    trained = train(denoiser_task(TINY), DATA, STEP.train, device=torch.device("cpu"), work_folder=tmp_path)
    for name, value in trained.network.state_dict().items():
        assert weights[name].dtype == torch.float16, "kept in half precision"
        assert torch.equal(found.denoiser.state_dict()[name], value.half().float())
    assert found.window == 32 and not found.denoiser.training and found.sources == DATA.sources
    assert (line.run(STEP) / CURVE).exists()
    priors = [found.prior(name) for name in DATA.sources]
    assert [prior.label for prior in priors] == [0, 1]
    assert all(prior.denoiser is found.denoiser for prior in priors)
    assert priors[0].score(noise(2, 1, 32), 0.1).isfinite().all()
    with pytest.raises(InputError, match="no prior for 'saw'; there are sine, square"):
        found.prior("saw")


# Bad input


@pytest.mark.parametrize("label", [-1, 2])
def test_class_that_the_denoiser_lacks_is_refused(label: int, make_denoiser: MakeDenoiser) -> None:
    with pytest.raises(InputError, match=f"class {label} is not among the denoiser's 2"):
        ClassDenoiser(make_denoiser(), label)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strides": (4, 2)}, "2 channels and 2 strides; give one stride fewer"),
        ({"channels": (16,), "strides": ()}, "1 channels and 0 strides"),
        ({"channels": (8, 12)}, "channels holds 12; use multiples of 8"),
        ({"heads": 3}, "3 heads do not fit 16 channels"),
        ({"heads": 0}, "0 heads"),
        ({"middle": 0}, "middle 0"),
        ({"classes": 0}, "classes 0"),
        ({"window": 30}, "the window of 30 samples is not a multiple of the strides, 4"),
        ({"window": 0}, "the window of 0 samples"),
        ({"sigma_data": 0.0}, r"sigma_data is 0\.0"),
        ({"log_sigma_std": 0.0}, r"log_sigma_std 0\.0"),
    ],
)
def test_senseless_configuration_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(TINY, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("round_off", [False, True])
def test_traced_copy_finds_the_same_bits(make_denoiser: MakeDenoiser, round_off: bool) -> None:
    """For any number of signals, however often it is asked: what runs it is remade after the first calls."""
    denoiser = make_denoiser().rounded() if round_off else make_denoiser()
    copy = denoiser.traced()
    for count in (2, 2, 2, 1, 5, 70, 2):
        x, label = noise(count, 1, denoiser.config.window), torch.arange(count) % denoiser.config.classes
        assert torch.equal(copy.denoise_rows(x, 0.3, label), denoiser.denoise_rows(x, 0.3, label))


def test_rounded_copy_is_off_by_little_of_the_noise(make_denoiser: MakeDenoiser) -> None:
    denoiser = make_denoiser()
    copy = denoiser.rounded()
    assert copy.net.stem.weight.dtype == torch.bfloat16 and copy.net.noise[0].weight.dtype == torch.float32
    assert denoiser.net.stem.weight.dtype == torch.float32, "the original is left alone"
    clean = noise(4, 1, denoiser.config.window)
    for sigma in (0.03, 0.3, 3.0):
        x = clean + sigma * noise(*clean.shape, seed=1)
        label = torch.arange(4) % denoiser.config.classes
        with torch.no_grad():
            full, rounded = (one(x, levels(4, sigma), label) for one in (denoiser, copy))
        assert rounded.dtype == torch.float32
        assert 0 < float((full - rounded).square().mean().sqrt()) < 0.05 * min(sigma, 1.0)
