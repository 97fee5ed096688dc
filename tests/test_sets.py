"""Sets of priors: the right value under the right protocol, whatever the model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from srcsep_core.data.toy import ToyWorld, draw_test_set
from srcsep_core.errors import InputError
from srcsep_core.nn.mu_law import mu_law_net
from srcsep_core.priors.flow import FlowPrior
from srcsep_core.priors.flow_kind import FlowSet
from srcsep_core.priors.flowavenet import ConditionalFlowConfig, FlowConfig, flowavenet
from srcsep_core.priors.oracle import OraclePrior, OracleSet
from srcsep_core.priors.sets import PROTOCOLS, LikelihoodSet
from srcsep_core.priors.wavenet import WaveNetPrior, WaveNetPriorConfig, WaveNetSet

Perturb = Callable[..., None]

DATA = ToyWorld(sources=("sine", "square", "saw"))
FLOW = FlowConfig(blocks=2, flows=1, layers=1, width=2)
CONDITIONAL = ConditionalFlowConfig(blocks=2, flows=1, layers=1, width=2, context=2)
WAVENET = WaveNetPriorConfig(layers=2, width=4, head_width=4)
ORACLE = OracleSet(DATA, 0.129)
LENGTH = 32


@pytest.fixture
def flows(perturb: Perturb) -> FlowSet:
    return flow_priors(FLOW, perturb)


@pytest.fixture
def wavenets(perturb: Perturb) -> WaveNetSet:
    return wavenet_set(WAVENET, perturb)


@pytest.fixture
def signals(generator: torch.Generator) -> Tensor:
    x = draw_test_set(DATA, 5, LENGTH, seed=0)
    return x + 0.1 * torch.randn(x.shape, generator=generator)


def made(net: nn.Module, perturb: Perturb) -> dict[str, object]:
    """A perturbed network in evaluation mode, and what a set says about it."""
    perturb(net.eval())
    about = {"sources": DATA.sources, "data": DATA, "sigma": 0.0, "curve": pd.DataFrame()}
    return about | {"folder": Path()}


def flow_priors(config: FlowConfig, perturb: Perturb) -> FlowSet:
    flow = flowavenet(config, 3)
    return FlowSet(flow=flow, **made(flow, perturb))  # type: ignore[arg-type]


def wavenet_set(config: WaveNetPriorConfig, perturb: Perturb) -> WaveNetSet:
    net = mu_law_net(config, 3)
    return WaveNetSet(net=net, **made(net, perturb))  # type: ignore[arg-type]


@pytest.fixture(params=["flow", "conditional flow", "wavenet", "released wavenet", "oracle"])
def priors(request: pytest.FixtureRequest, perturb: Perturb) -> LikelihoodSet:
    """A set of every kind."""
    kinds: dict[str, Callable[[], LikelihoodSet]] = {
        "flow": lambda: flow_priors(FLOW, perturb),
        "conditional flow": lambda: flow_priors(CONDITIONAL, perturb).at(0.129),
        "wavenet": lambda: wavenet_set(WAVENET, perturb),
        "released wavenet": lambda: wavenet_set(replace(WAVENET, likelihood="released"), perturb),
        "oracle": lambda: ORACLE,
    }
    return kinds[request.param]()


PROTOCOLS_BY_KIND = {
    "flow": ["released", "exact"],
    "conditional flow": ["released", "exact"],
    "wavenet": ["exact"],
    "released wavenet": ["released"],
    "oracle": ["oracle"],
}


def test_likelihoods_have_a_value_a_signal_and_source_for_every_protocol_of_the_model(
    priors: LikelihoodSet, signals: Tensor, request: pytest.FixtureRequest
) -> None:
    found = priors.likelihoods(signals)
    assert list(found) == PROTOCOLS_BY_KIND[request.node.callspec.params["priors"]]
    assert set(found) <= set(PROTOCOLS)
    for values in found.values():
        assert (values.shape, values.dtype) == ((5, 3), torch.float64)
        assert values.isfinite().all()
        assert not values.requires_grad


def test_source_is_evaluated_under_its_own_prior_alone(priors: LikelihoodSet, signals: Tensor) -> None:
    changed = signals.clone()
    changed[:, 1] *= 0.5
    before, after = priors.likelihoods(signals), priors.likelihoods(changed)
    for protocol, values in before.items():
        different = ~torch.isclose(values, after[protocol], rtol=0, atol=1e-6)
        assert different[:, 1].all()
        assert not different[:, [0, 2]].any()


def test_set_names_its_sources_and_the_factor_of_its_lengths(priors: LikelihoodSet) -> None:
    assert priors.sources == DATA.sources
    assert priors.multiple_of == (4 if isinstance(priors, FlowSet) else 1)
    priors.likelihoods(torch.zeros(1, 3, 3 * priors.multiple_of))


# Values


@torch.no_grad()
def test_exact_less_released_value_of_a_flow_is_its_log_determinant(flows: FlowSet, signals: Tensor) -> None:
    found = flows.likelihoods(signals)
    terms = flows.flow.source_terms(signals)
    log_det = terms.log_det.double().mean(dim=2)
    assert log_det.abs().median() > 1e-3
    torch.testing.assert_close(found["exact"] - found["released"], log_det, rtol=0, atol=1e-12)
    torch.testing.assert_close(found["released"], terms.log_pz.double().mean(dim=2), rtol=0, atol=1e-12)


@torch.no_grad()
def test_exact_value_is_the_log_prob_of_each_prior_by_sample(
    flows: FlowSet, wavenets: WaveNetSet, signals: Tensor
) -> None:
    for priors in (flows, wavenets):
        exact = priors.likelihoods(signals)["exact"]
        for g, source in enumerate(DATA.sources):
            log_prob = priors.prior(source).log_prob(signals[:, g : g + 1])
            torch.testing.assert_close(exact[:, g], log_prob.double() / LENGTH, rtol=0, atol=1e-5)


@torch.no_grad()
def test_released_value_of_a_wavenet_is_its_score(perturb: Perturb, signals: Tensor) -> None:
    priors = wavenet_set(replace(WAVENET, likelihood="released"), perturb)
    found = priors.likelihoods(signals)["released"]
    torch.testing.assert_close(found, priors.net.reported(signals).double())
    assert (found > 0).all() and (found < 1).all()


def test_oracle_value_is_the_true_log_density_by_sample(signals: Tensor) -> None:
    found = ORACLE.likelihoods(signals)["oracle"]
    for g, source in enumerate(DATA.sources):
        expected = OraclePrior(source, DATA, 0.129).log_prob(signals[:, g : g + 1]) / LENGTH
        torch.testing.assert_close(found[:, g], expected)


# Levels


@torch.no_grad()
def test_set_of_a_conditional_flow_can_be_asked_at_another_level(perturb: Perturb, signals: Tensor) -> None:
    priors = flow_priors(CONDITIONAL, perturb)
    for sigma in (0.01, 0.359):
        there = priors.at(sigma)
        expected = priors.flow.log_prob(signals, sigma).double() / LENGTH
        torch.testing.assert_close(there.likelihoods(signals)["exact"], expected, rtol=0, atol=1e-5)
        assert (there.sigma, there.prior("saw").sigma) == (sigma, sigma)
        assert there.flow is priors.flow
    assert priors.sigma == 0
    low, high = (priors.at(sigma).likelihoods(signals)["exact"] for sigma in (0.01, 0.359))
    assert not torch.isclose(low, high).all(dim=0).any()


def test_set_of_a_conditional_flow_needs_a_level_in_its_range(perturb: Perturb, signals: Tensor) -> None:
    priors = flow_priors(CONDITIONAL, perturb)
    for sigma in (0.0, 0.6):
        with pytest.raises(InputError, match=r"trained on 0\.01\.\.0\.5"):
            priors.at(sigma).likelihoods(signals)


def test_prior_of_a_source_is_its_own_and_knows_the_level(flows: FlowSet, wavenets: WaveNetSet) -> None:
    flow = flows.at(0.077).prior("saw")
    wavenet = replace(wavenets, sigma=0.077).prior("saw")
    oracle = ORACLE.prior("saw")
    assert isinstance(flow, FlowPrior) and isinstance(wavenet, WaveNetPrior) and isinstance(oracle, OraclePrior)
    assert (flow.sigma, wavenet.sigma, oracle.sigma) == (0.077, 0.077, 0.129)
    assert oracle.source == "saw"
    for ours, theirs in ((flow.flow, flows.flow.extract(2)), (wavenet.net, wavenets.net.extract(2))):
        assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_unknown_source_is_named(priors: LikelihoodSet) -> None:
    with pytest.raises(InputError, match="no prior for 'triangle'; there are sine, square, saw"):
        priors.prior("triangle")  # type: ignore[attr-defined]


def test_number_of_sources_has_to_be_that_of_the_set(flows: FlowSet, wavenets: WaveNetSet) -> None:
    for priors in (flows, wavenets):
        with pytest.raises(InputError, match=r"expected 3 channel\(s\), got 2"):
            priors.likelihoods(torch.zeros(1, 2, LENGTH))
