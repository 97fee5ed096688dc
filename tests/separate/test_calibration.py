"""Labelled recordings are separated by a step, and its windows are read back as they were found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from codebook import RATE, codebook_priors
from test_trust import labelled
from torch import Tensor

from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps import VALUES
from srcsep_core.run.store import Store
from srcsep_core.separate import calibration
from srcsep_core.separate.calibration import JudgeCases, calibration_steps, fit, judged, windows_of
from srcsep_core.separate.cases import BOOKS, FIT_SEED, FLOOR_DB, HELD_OUT_SEED
from srcsep_core.separate.evidence import FEATURES
from srcsep_core.separate.job import separate_audio
from srcsep_core.separate.separated import Separated
from srcsep_core.separate.settings import SeparateConfig

SMOKE = get_profile("smoke")
BOOK = BOOKS["toy"]


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline whose separations have priors that can be summed over, and need no training."""

    def separate(samples: Tensor, rate: int, sources: tuple[str, ...], config: SeparateConfig) -> Separated:
        assert (rate, config.profile, config.precision) == (RATE, "smoke", "rounded")
        return separate_audio(samples, rate, sources, config, priors=codebook_priors())

    monkeypatch.setattr(calibration, "separate_audio", separate)
    monkeypatch.setattr(JudgeCases, "parents", ())
    return Pipeline(Store(tmp_path / "cache"))


def test_every_kind_has_its_steps_and_both_seeds_theirs() -> None:
    steps = calibration_steps(SMOKE, BOOK, FIT_SEED, 6)
    assert {step.kind for step in steps} == set(BOOK.kinds) and len(steps) == 2 * len(BOOK.kinds)
    numbers = [n for step in steps if step.kind == "noise" for n in range(step.first, step.first + step.count)]
    assert numbers == list(range(6))
    assert {step.key for step in steps}.isdisjoint(s.key for s in calibration_steps(SMOKE, BOOK, 1, 6))


def test_what_nothing_is_fitted_to_is_checked_all_the_same() -> None:
    fitted, held = (calibration_steps(SMOKE, BOOKS["rendered"], seed, 1) for seed in (FIT_SEED, HELD_OUT_SEED))
    assert {step.kind for step in held} - {step.kind for step in fitted} == {"real song"}


def test_step_labels_every_window(line: Pipeline) -> None:
    steps = [
        step
        for step in calibration_steps(SMOKE, replace(BOOK, lengths_s=(0.02,)), FIT_SEED, 1)
        if step.kind in ("noise", "right classes")
    ]
    found = windows_of(line, steps)
    assert set(found["kind"]) == {"noise", "right classes"} and found[list(FEATURES)].notna().all(axis=None)
    noise = found[found["kind"] == "noise"]
    assert noise["worst_si_sdr"].eq(FLOOR_DB).all() and noise["window_si_sdr"].eq(FLOOR_DB).all()
    assert len(noise) > 3 and noise["start_s"].is_monotonic_increasing


def test_windows_without_a_better_class_are_judged_as_read_back(
    line: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty text in a table is no number; reasons are made of it."""
    table = labelled(8, seed=3).assign(better="")
    (tmp_path / VALUES).parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(tmp_path / VALUES, index=False)
    run: Callable[..., Any] = lambda *_: tmp_path  # noqa: E731
    monkeypatch.setattr(Pipeline, "run", run)
    read = windows_of(line, calibration_steps(SMOKE, BOOK, FIT_SEED, 1)[:1])
    assert read["better"].eq("").all()
    verdicts = judged(read, fit(labelled(40, seed=4)))
    assert isinstance(verdicts, pd.DataFrame) and len(verdicts) == 8
