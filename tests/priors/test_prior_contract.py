"""What every prior has to keep, whatever it can do: one denoiser, score and density, samples, and clear refusals.

Every registered kind is here by itself, with its networks of the smoke profile; another prior joins by a line of
`OTHERS`. A test runs for the priors that have what it is about.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from analytic import Gaussian
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from srcsep_core.data.toy import SOURCES, ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.priors.base import DenoisingPrior, DensityDenoiser, denoised_from_score, has_noisy_density
from srcsep_core.priors.flow import FlowPrior
from srcsep_core.priors.flow_parts import ConditionalFlowConfig, FlowConfig
from srcsep_core.priors.flowavenet import flowavenet
from srcsep_core.priors.kinds import Kind, all_kinds
from srcsep_core.priors.ladder import NoiseLadder
from srcsep_core.priors.oracle import OraclePrior
from srcsep_core.priors.sets import LikelihoodSet, Trained
from srcsep_core.run.profiles import get_profile

Perturb = Callable[..., None]
CPU = torch.device("cpu")
ONE_BLOCK = FlowConfig(blocks=1, flows=2, layers=1, width=4)
CONDITIONAL = ConditionalFlowConfig(blocks=1, flows=2, layers=1, width=4, split_every=0)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# The registered kinds


@dataclass(frozen=True)
class Trainable:
    """A network of a kind for an objective, as the smoke profile has it."""

    kind: Kind
    network: Any
    objective: str

    @property
    def sigma(self) -> float:
        """A noise level that it has, in the middle of its range."""
        levels = self.kind.levels(self.network)
        return math.sqrt(levels[0] * levels[1]) if levels else 0.0

    def fresh(self, perturb: Perturb) -> nn.Module:
        """A network for all sources with random weights."""
        net = self.kind.task(self.network, len(SOURCES), self.objective).build()
        perturb(net, 0.1)
        return net

    def load(self, weights: dict[str, Tensor]) -> Any:
        """The set of priors with these weights."""
        about = Trained(SOURCES, ToyWorld(), 0.0, pd.DataFrame(), Path())
        return self.kind.load(self.network, weights, about, CPU)


def trainables() -> dict[str, Trainable]:
    """Every network of every kind, for every objective."""
    found = {}
    for name, kind in all_kinds().items():
        plan = get_profile("smoke").plan_of(name)
        for index, network in enumerate((plan.network, *plan.conditional_networks)):
            for objective in kind.objectives:
                made = Trainable(kind, kind.adapt(network, objective), objective)
                found[f"{name} {index} {objective}"] = made
    return found


TRAINABLES = trainables()
each_trainable = pytest.mark.parametrize("trainable", TRAINABLES.values(), ids=TRAINABLES)


@each_trainable
def test_loss_has_a_value_a_source_and_a_gradient_for_every_parameter(trainable: Trainable, perturb: Perturb) -> None:
    net = trainable.fresh(perturb).train()
    task = trainable.kind.task(trainable.network, len(SOURCES), trainable.objective)
    x = 0.4 * randn(4, len(SOURCES), getattr(trainable.network, "window", 64)).float()
    losses = task.losses(net, x, torch.Generator().manual_seed(0))
    assert losses.shape == (1 + len(task.terms), len(SOURCES)) and losses.isfinite().all()
    losses[0].sum().backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]


@each_trainable
def test_loaded_weights_give_the_same_set_of_one_prior_a_source(
    trainable: Trainable, perturb: Perturb, tmp_path: Path
) -> None:
    net = trainable.fresh(perturb)
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    x = 0.4 * randn(3, 1, getattr(trainable.network, "window", 16)).float().expand(-1, len(SOURCES), -1)
    values = []
    for weights in (net.state_dict(), load_file(tmp_path / "weights.safetensors")):
        found = trainable.load(weights)
        with pytest.raises(InputError, match=f"no prior for 'organ'; there are {', '.join(SOURCES)}"):
            found.prior("organ")
        reported = found.at(trainable.sigma).likelihoods(x) if isinstance(found, LikelihoodSet) else {}
        if "mean_sigmoid" in reported:
            with pytest.raises(InputError, match="which is not a density"):
                found.prior(SOURCES[0])
            priors = []
        else:
            priors = [found.prior(source) for source in SOURCES]
        assert not any(module.training for prior in priors for module in list(prior.modules())[1:])
        if reported:
            own = torch.stack(list(reported.values()), dim=2)
        else:
            own = torch.stack([prior.denoise(x[:, :1], 0.3)[:, 0] for prior in priors], dim=1)
        values.append(own.unbind(dim=1))
    assert all(torch.equal(one, other) for one, other in zip(*values, strict=True))
    for one, other in combinations(values[0], 2):
        assert not torch.equal(one, other), "every source has a prior of its own"


@pytest.mark.parametrize("trainable", [t for t in TRAINABLES.values() if t.kind.density], ids=lambda t: t.kind.name)
def test_likelihood_of_a_set_is_the_density_of_its_priors(trainable: Trainable, perturb: Perturb) -> None:
    found = trainable.load(trainable.fresh(perturb).state_dict())
    assert isinstance(found, LikelihoodSet)
    found, x = found.at(trainable.sigma), 0.4 * randn(3, len(SOURCES), 16).float()
    values = found.likelihoods(x)
    assert all(value.shape == (3, len(SOURCES)) and value.dtype == torch.float64 for value in values.values())
    for protocol in {"log_prob", "bound"} & set(values):
        own = [getattr(found.prior(source), protocol) for source in SOURCES]
        rows = [of_prior(x[:, k : k + 1]) / 16 for k, of_prior in enumerate(own)]
        torch.testing.assert_close(values[protocol], torch.stack(rows, dim=1).detach().double(), rtol=1e-5, atol=1e-5)


# All priors


@dataclass(frozen=True)
class Case:
    """How a prior is made, in float64, and whether its score is the gradient of its own density."""

    make: Callable[[Perturb], Any]
    matched: bool = True


def kind_case(trainable: Trainable) -> Case:
    def make(perturb: Perturb) -> Any:
        found = trainable.load(trainable.fresh(perturb).state_dict())
        found = found.at(trainable.sigma) if isinstance(found, LikelihoodSet) else found
        return found.prior(SOURCES[1]).double()

    return Case(make)


def flow_prior(perturb: Perturb, config: FlowConfig, sigma: float = 0.1, scale: float = 0.2) -> FlowPrior:
    flow = flowavenet(config).double().eval()
    perturb(flow, scale)
    return FlowPrior(flow, sigma)


def ladder(perturb: Perturb) -> NoiseLadder:
    return NoiseLadder({sigma: flow_prior(perturb, ONE_BLOCK, sigma, 0.1 + sigma) for sigma in (0.1, 0.5)})


OTHERS = {
    "flow of one block": Case(lambda perturb: flow_prior(perturb, ONE_BLOCK)),
    "flow that is told the level": Case(lambda perturb: flow_prior(perturb, CONDITIONAL)),
    "ladder": Case(ladder, matched=False),
    "adapter of a density": Case(lambda perturb: DensityDenoiser(Gaussian(0.3, 0.2))),
    "oracle, whole_periods": Case(lambda perturb: OraclePrior("triangle", ToyWorld(), 0.05)),
    "oracle, piano_keys": Case(lambda perturb: OraclePrior("square", ToyWorld("piano_keys"), 0.4)),
    "oracle, uniform_hz": Case(lambda perturb: OraclePrior("sine", ToyWorld("uniform_hz"), 0.4)),
}
CASES = OTHERS | {name: kind_case(t) for name, t in TRAINABLES.items() if t.objective == t.kind.objectives[0]}
METHODS = ("denoise", "score", "log_prob", "log_prob_map", "bound", "reconstruct", "codes", "posterior_sample")
METHODS += ("feature_log_prob", "gradient")


def size_of(prior: Any) -> int:
    """The least number of samples that it takes."""
    flow = getattr(prior, "flow", None)
    return 1 if flow is None else int(flow.multiple_of)


def own_level(prior: Any) -> float | None:
    """The level that it is asked at without one."""
    return getattr(prior, "sigma_min", getattr(prior, "sigma", None))


def asked_at_levels(prior: Any) -> bool:
    return hasattr(prior, "denoise") or has_noisy_density(prior)


def takes_level(prior: Any, method: str = "log_prob") -> bool:
    return hasattr(prior, method) and "sigma" in signature(getattr(prior, method)).parameters


def length_of(prior: Any) -> int:
    return getattr(prior, "window", 12 if isinstance(prior, OraclePrior) else 16)


def levels_of(prior: Any) -> list[float | None]:
    """Noise levels that a prior knows: the ends and the middle of its range, or its own; None: it takes none."""
    if isinstance(prior, NoiseLadder):
        return [0.02, 0.2, 3.0]
    span = getattr(prior, "sigma_range", None)
    if span is not None:
        return [span[0], math.sqrt(span[0] * span[1]), span[1]]
    own = getattr(prior, "sigma", 0.3)
    return [own] if takes_level(prior) else [None]


def level_of(prior: Any) -> float | None:
    """One of them, in the middle."""
    return levels_of(prior)[len(levels_of(prior)) // 2]


MADE = {name: case.make(lambda *_: None) for name, case in CASES.items()}  # to see what each can do


def each(able: Callable[[Case, Any], bool]) -> pytest.MarkDecorator:
    """Run a test for the priors of `CASES` that are able to do what it is about; there is one at least."""
    chosen = {name: case for name, case in CASES.items() if able(case, MADE[name])}
    assert chosen, "no prior is able to do what a test of the contract is about"
    return pytest.mark.parametrize("case", chosen.values(), ids=chosen)


each_case = each(lambda case, prior: True)


def call(prior: Any, method: str, x: Tensor, sigma: float | None) -> Tensor:
    """The result of a method at a level, where it takes one."""
    if method == "posterior_sample":
        return prior.posterior_sample(x, sigma, torch.Generator().manual_seed(0))
    return getattr(prior, method)(x) if sigma is None else getattr(prior, method)(x, sigma)


@pytest.fixture
def prior(case: Case, perturb: Perturb) -> Any:
    return case.make(perturb)


NO_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, PyTorch finds none")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_CUDA])]


@pytest.mark.parametrize("device", DEVICES)
@each_case
def test_results_have_the_shape_of_the_signals_and_rows_do_not_mix(case: Case, prior: Any, device: str) -> None:
    prior = prior.to(device) if isinstance(prior, nn.Module) else prior
    x = (0.4 * randn(3, 1, length_of(prior))).to(device)
    sigma = level_of(prior)
    shapes = {"denoise": x.shape, "score": x.shape, "log_prob": (3,), "log_prob_map": (3, x.shape[2])}
    shapes |= {"bound": (3,), "reconstruct": x.shape, "feature_log_prob": (3,), "gradient": x.shape}
    for method, shape in shapes.items():
        if hasattr(prior, method):
            found = call(prior, method, x, sigma)
            assert found.shape == shape and found.dtype == torch.float64 and found.device == x.device, method
            assert found.isfinite().all(), method
            torch.testing.assert_close(call(prior, method, x[1:2], sigma), found[1:2], rtol=1e-6, atol=1e-8)
    if hasattr(prior, "log_prob_map"):
        by_sample = call(prior, "log_prob_map", x, sigma).double().sum(dim=1)
        torch.testing.assert_close(by_sample, call(prior, "log_prob", x, sigma), rtol=0, atol=1e-5)


@each_case
def test_denoiser_and_score_are_one_and_need_no_graph(case: Case, prior: Any) -> None:
    """Tweedie's formula, D(x) = x + sigma^2 score."""
    x = 0.1 * randn(2, 1, length_of(prior))
    if hasattr(prior, "score"):
        assert isinstance(prior, DenoisingPrior)
        for sigma in levels_of(prior):
            with torch.no_grad():
                score, clean = call(prior, "score", x, sigma), call(prior, "denoise", x, sigma)
            torch.testing.assert_close(clean, denoised_from_score(x, score, sigma or 0.0), rtol=1e-7, atol=1e-9)
            assert score.any() and not score.requires_grad and not clean.requires_grad
    assert not isinstance(prior, nn.Module) or all(p.grad is None for p in prior.parameters())


@each(lambda case, prior: case.matched and hasattr(prior, "score") and hasattr(prior, "log_prob"))
def test_score_is_the_derivative_of_the_density(case: Case, prior: Any) -> None:
    """Along random directions, by the five-point difference."""
    length = length_of(prior)
    for sigma in levels_of(prior):
        x = (1 + (sigma or 0)) * 0.3 * randn(1, 1, length)
        direction = randn(3, 1, length, seed=1)
        direction /= direction.norm(dim=2, keepdim=True)
        step = 1e-3 * min(sigma or 0.01, 0.01)  # between the kinks of a ReLU
        points = torch.cat([x + steps * step * direction for steps in (-2, -1, 1, 2)])
        with torch.no_grad():
            far_low, low, high, far_high = call(prior, "log_prob", points, sigma).chunk(4)
        numeric = (far_low - 8 * low + 8 * high - far_high) / (12 * step)
        score = call(prior, "score", x, sigma)
        found = (score * direction).sum(dim=(1, 2))
        assert (numeric - found).abs().max() < 1e-5 * score.norm(), sigma


@each(lambda case, prior: case.matched and hasattr(prior, "log_prob") and size_of(prior) <= 2)
@torch.no_grad()
def test_density_of_one_or_two_samples_integrates_to_one(case: Case, prior: Any) -> None:
    """By a sum over a grid, which is exact to 1e-8 for a mixture of Gaussians if it is as coarse as they are wide."""
    size = size_of(prior)
    for sigma in levels_of(prior):
        reach, step = (8, 0.1) if size == 2 else (3 + 10 * (sigma or 0), sigma or 4e-4)
        axis = torch.arange(-reach, reach, step, dtype=torch.float64)
        grid = torch.cartesian_prod(*[axis] * size).reshape(-1, 1, size)
        total = call(prior, "log_prob", grid, sigma).exp().sum() * step**size
        assert total.item() == pytest.approx(1, abs=2e-3), sigma


@each(lambda case, prior: own_level(prior) is not None and asked_at_levels(prior))
def test_without_a_level_a_prior_is_asked_at_its_own(case: Case, prior: Any) -> None:
    own, x = own_level(prior), 0.1 * randn(2, 1, length_of(prior))
    for method in ("denoise", "score", "log_prob", "log_prob_map"):
        if hasattr(prior, method):
            assert torch.equal(getattr(prior, method)(x), getattr(prior, method)(x, own)), method


@each(lambda case, prior: hasattr(prior, "sample"))
def test_samples_are_those_of_the_generator_and_leave_the_global_state_alone(case: Case, prior: Any) -> None:
    shape, before = (2, 1, length_of(prior)), torch.get_rng_state()
    first, again, other = (prior.sample(shape, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.isclose(first, other).all()
    assert first.shape == shape and first.isfinite().all() and not first.requires_grad
    assert torch.equal(torch.get_rng_state(), before)
    assert prior.sample((1, 1, length_of(prior))).shape == (1, 1, length_of(prior))
    for bad in ((1, 2, length_of(prior)), (2, 0, length_of(prior))):
        with pytest.raises(InputError):
            prior.sample(bad)


@each(lambda case, prior: hasattr(prior, "posterior_sample"))
def test_posterior_draws_are_those_of_the_generator_in_the_precision_of_the_signals(case: Case, prior: Any) -> None:
    x, before = 0.4 * randn(3, 1, length_of(prior)), torch.get_rng_state()
    first, again, other = (prior.posterior_sample(x, 1.0, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.shape == x.shape and first.dtype == torch.float64
    assert prior.posterior_sample(x.float(), 1.0, torch.Generator()).dtype == torch.float32


def bad_signals(length: int) -> list[tuple[Tensor, str]]:
    """Signals that no prior can take, and what must be said of them."""
    good = torch.zeros(2, 1, length, dtype=torch.float64)
    broken = good.clone()
    broken[0, 0, :2], broken[1, 0, 0] = math.nan, -math.inf
    return [
        (good[:, 0], rf"shape \(B, C, T\), got shape \(2, {length}\); add the missing axes"),
        (good.expand(2, 2, length), r"expected 1 channel\(s\), got 2"),
        (good[:, :0], "got 0 in shape"),
        (good[:0], "the batch is empty"),
        (good.long(), r"torch\.int64; convert with x\.float\(\)"),
        (broken, f"3 of {2 * length} samples are NaN or infinite; clean the signal first"),
    ]


@each(lambda case, prior: not isinstance(prior, DensityDenoiser))  # which refuses what its density refuses
def test_bad_signals_are_named_by_every_method(case: Case, prior: Any) -> None:
    sigma = level_of(prior)
    for x, message in bad_signals(length_of(prior)):
        for method in METHODS:
            if hasattr(prior, method):
                with pytest.raises(InputError, match=message):
                    call(prior, method, x, sigma)
    if isinstance(prior, nn.Module):
        with pytest.raises(InputError, match=r"float32 but the model is torch\.float64"):
            method = next(name for name in METHODS if hasattr(prior, name) and name != "score")
            call(prior, method, torch.zeros(1, 1, length_of(prior)), sigma)


@each(lambda case, prior: asked_at_levels(prior) and not isinstance(prior, DensityDenoiser))
def test_levels_that_a_prior_does_not_have_are_named(case: Case, prior: Any) -> None:
    span, x = getattr(prior, "sigma_range", None), torch.zeros(1, 1, length_of(prior), dtype=torch.float64)
    bad = [-1.0, math.nan, 0.0 if level_of(prior) else 0.2]
    bad += [0.8 * span[0], 1.2 * span[1]] if span is not None else []
    for sigma in bad:
        for method in METHODS:
            if hasattr(prior, method):
                with pytest.raises(InputError, match=rf"sigma .*{sigma:g}"):
                    call(prior, method, x, sigma)
