"""Priors of songs: on which songs they are asked, and the summary of the scorings."""

from pathlib import Path

import pandas as pd
import pytest
from song_trees import stems, write_wav_song

from srcsep_core.audit.songs import SCORED, SIGMAS, asked_variants, scoring_step, scorings_summary
from srcsep_core.data.musdb18 import decode
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import PROFILES, get_profile

pytestmark = pytest.mark.usefixtures("cache_folder")
SOURCES = ("drums", "bass")


def test_musdb18_is_asked_about_once_it_is_decoded(tmp_path: Path) -> None:
    laptop, pipeline = get_profile("laptop"), Pipeline()
    assert asked_variants(pipeline, laptop) == ["songs_8k", "excerpt_8k"]
    write_wav_song(tmp_path / "songs" / "test" / "one", stems(1, 2.0))
    for variant in ("musdb18_8k", "musdb18_paper"):
        decode(tmp_path / "songs", variant)
    assert asked_variants(pipeline, laptop) == ["songs_8k", "excerpt_8k", "musdb18_8k"], "no priors of the other"


@pytest.mark.parametrize("profile", PROFILES)
def test_signals_to_score_are_a_second_or_as_long_as_the_denoisers_window(profile: str) -> None:
    step = scoring_step(get_profile(profile), "excerpt_8k")
    assert step.evaluation.length == min(SCORED, step.denoiser.network.window)
    assert step.data.variant == "excerpt_8k" and step.density.data.variant == "songs_8k"
    assert step.background.data.sources == ("any",) and step.sigmas == SIGMAS
    assert step.key != scoring_step(get_profile(profile), "songs_8k").key


def test_summary_says_what_each_scoring_tells_apart() -> None:
    rows = []
    for scoring, ahead in (("good", 10.0), ("blind", 0.0)):
        for source in SOURCES:
            for prior in SOURCES:
                for signal in range(8):
                    value = signal + ahead * (source == prior)
                    rows.append(
                        {"source": source, "prior": prior, "signal": signal, "value": value, "scoring": scoring}
                    )
    found = scorings_summary({"excerpt_8k": pd.DataFrame(rows)}).set_index("scoring")
    assert found.loc["good", ["auroc", "ratio_auroc", "accuracy", "accuracy_worst"]].tolist() == [1, 1, 1, 1]
    assert found.loc["blind", ["auroc", "ratio_auroc", "accuracy", "accuracy_worst"]].tolist() == [0.5, 0.5, 0, 0]
    assert found["n"].tolist() == [8, 8] and set(found["world"]) == {"excerpt"}
    assert found.loc["blind", "auroc_low"] < 0.5 < found.loc["blind", "auroc_high"]
