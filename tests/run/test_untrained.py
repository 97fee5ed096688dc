"""Nothing trains unasked: what is missing is named with the command that makes it and its cost."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from srcsep_core.cli import main
from srcsep_core.errors import InputError
from srcsep_core.run import untrained
from srcsep_core.run.artefacts import Artefact
from srcsep_core.run.executors import prepare
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps import TrainPriors, cross_likelihood_step, prior_step, priors_of
from srcsep_core.run.store import Store

SMOKE = get_profile("smoke")
FLOW, DENOISER = prior_step(SMOKE, "flowavenet"), prior_step(SMOKE, "denoiser", variant="uniform_hz")
TUNED = prior_step(SMOKE, "flowavenet", sigma=0.359)


@pytest.fixture
def line(tmp_path: Path) -> Pipeline:
    """A pipeline with an empty cache that may not train."""
    return Pipeline(Store(tmp_path / "cache"))


@pytest.mark.parametrize("step", [FLOW, DENOISER, cross_likelihood_step(SMOKE, FLOW)], ids=lambda step: step.title)
def test_what_needs_priors_that_are_not_trained_is_refused(step: TrainPriors, line: Pipeline) -> None:
    for ask in (lambda: line.run(step), lambda: prepare(line, [step]), lambda: line.check_trained([step])):
        with pytest.raises(InputError, match=r"the priors .* are not trained; train them with `srcsep train -p smoke"):
            ask()
    assert not line.store.root.exists()


def test_priors_that_start_from_others_are_one_set_at_the_cost_of_both(line: Pipeline) -> None:
    with pytest.raises(InputError, match=f"the priors {re.escape(TUNED.title)} are not trained.*50 training steps"):
        line.run(TUNED)


def test_several_sets_are_counted(line: Pipeline) -> None:
    with pytest.raises(InputError, match=rf"2 sets of priors are not trained \({FLOW.title}, {DENOISER.title}\)"):
        line.check_trained([FLOW, cross_likelihood_step(SMOKE, FLOW), DENOISER])
    with pytest.raises(InputError, match=r"\d+ sets .* and \d+ more\)"):
        line.check_trained(priors_of(SMOKE))


def test_outside_a_checkout_the_sets_of_one_can_be_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "srcsep data priors" not in untrained.refusal([FLOW])
    monkeypatch.setattr(untrained, "checkout", lambda: None)
    assert "`srcsep data priors --from" in untrained.refusal([FLOW])


@pytest.mark.parametrize("step", priors_of(SMOKE, "piano_keys"), ids=lambda step: step.title)
def test_the_command_that_is_named_trains_them(
    step: TrainPriors, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def recorded(self: Pipeline, step: TrainPriors) -> Artefact:
        assert self.train
        asked.append(step.key)
        return Artefact(cache_folder, step.key)

    monkeypatch.setattr(Pipeline, "run", recorded)
    program, *arguments = untrained.command(step).split()
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert program == "srcsep" and result.exit_code == 0 and step.key in asked


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (DENOISER, "40 training steps, about a minute on one core"),
        (prior_step(get_profile("laptop"), "denoiser"), "9000 training steps, about 45 minutes on one core"),
        (prior_step(get_profile("full"), "flowavenet"), "168040 training steps, time not measured"),
        (replace(DENOISER, label="my own"), "40 training steps, time not measured"),
    ],
    ids=["smoke", "laptop", "full", "no profile"],
)
def test_cost_is_in_steps_and_where_it_was_measured_in_time(step: TrainPriors, words: str) -> None:
    assert untrained.cost([step]) == words
