"""Without being told, the set of classes under which the windows are most likely right is found."""

from dataclasses import replace

import pytest
import torch
from codebook import codebook_priors, codebook_wave

from srcsep_core.errors import InputError
from srcsep_core.samplers import GibbsConfig, gibbs
from srcsep_core.samplers.selection import all_subsets
from srcsep_core.samplers.separator import PriorSeparator
from srcsep_core.separate import auto
from srcsep_core.separate.auto import pick_sources
from srcsep_core.separate.crew import Clock, Crew
from srcsep_core.separate.evidence import FEATURES
from srcsep_core.separate.searching import Search, SearchConfig
from srcsep_core.separate.trust import Logistic, TrustModel

# Log-odds that fall with the denoising error of the worst source, and with what survives noising.
WEIGHTS = {"error": -3.0, "doubt_db": -3.0}
WINDOW = Logistic(FEATURES, (0.0,) * 8, (1.0,) * 8, tuple(WEIGHTS.get(name, 0.0) for name in FEATURES), -12.0, 0.5)
CENTRED = replace(WINDOW, mean=tuple(-25.0 if name == "doubt_db" else 0.0 for name in FEATURES), bias=0.0)


def search() -> Search:
    priors = codebook_priors()
    separator = PriorSeparator(gibbs, GibbsConfig(levels=18), priors.by_source)
    return Search(separator, priors, ("sine",), SearchConfig(), Crew(torch.device("cpu"), 0), priors)


def test_right_set_is_the_likeliest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "trust_model", lambda _: TrustModel(CENTRED, CENTRED))
    mix = (codebook_wave("sine", 10, 500) + codebook_wave("square", 13, 500)) / 2
    found = pick_sources(mix[None], search(), all_subsets(("sine", "square", "saw")), "toy")
    assert found["sources"].iloc[0] == "sine+square" and len(found) == 7
    assert found["p"].is_monotonic_decreasing and found["p"].iloc[0] > 0.5 and found["p"].sum() <= 1 + 1e-9
    assert found["gain"].iloc[0] == 1.0


def test_probabilities_are_of_one_set_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    wave, sets = codebook_wave("sine", 10, 500)[None], [("sine",), ("square",)]
    sums = []
    for bias in (0.0, -200.0):
        whole = TrustModel(replace(CENTRED, bias=bias), CENTRED)
        monkeypatch.setattr(auto, "trust_model", lambda _, whole=whole: whole)
        sums.append(pick_sources(wave, search(), sets, "toy")["p"].sum())
    assert 0.5 < sums[0] < 1 and sums[1] < 1e-6, "what is none of the sets is none of them"


def test_time_that_is_up_leaves_sets_untried_but_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "trust_model", lambda _: TrustModel(CENTRED, CENTRED))
    late = replace(search(), crew=Crew(torch.device("cpu"), 0, Clock(1e-9)))
    found = pick_sources(codebook_wave("sine", 10, 500)[None], late, [("sine",), ("square",)], "toy")
    assert found["sources"].tolist() == ["sine"]


def test_sources_are_heard_in_whichever_channel_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "trust_model", lambda _: TrustModel(CENTRED, CENTRED))
    sine, square = codebook_wave("sine", 10, 500), codebook_wave("square", 13, 500)
    apart = torch.stack([sine, square])
    assert pick_sources(apart, search(), [("sine",), ("sine", "square")], "toy")["sources"].iloc[0] == "sine+square"
    cancelling = torch.stack([0.5 * sine, -0.9 * sine])
    assert pick_sources(cancelling, search(), [("sine",), ("square",)], "toy")["sources"].iloc[0] == "sine"


def test_sets_of_every_size_come_early_and_a_given_gain_is_the_one_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [len(names) for names in auto._by_turns(all_subsets(("a", "b", "c")))] == [1, 2, 3, 1, 2, 1, 2]
    monkeypatch.setattr(auto, "trust_model", lambda _: TrustModel(CENTRED, CENTRED))
    found = pick_sources(2 * codebook_wave("sine", 10, 500)[None], search(), [("sine",), ("square",)], "toy", gain=0.5)
    assert found["gain"].eq(0.5).all() and found["sources"].iloc[0] == "sine"


def test_without_a_model_the_sources_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "trust_model", lambda _: None)
    with pytest.raises(InputError, match="there is none for the world toy; name the sources"):
        pick_sources(codebook_wave("sine", 10, 500)[None], search(), [("sine",)], "toy")
