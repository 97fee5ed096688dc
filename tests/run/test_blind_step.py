"""The step that takes mixes apart: its table for every way, its key and title, and what needs no training."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from srcsep_core.baselines.pictures import BASELINES
from srcsep_core.blind.latent_search import SearchConfig, search
from srcsep_core.blind.scores import PICTURES, SOUNDS, grouped, picture_scores
from srcsep_core.blind.slots import SlotConfig
from srcsep_core.blind.views import Pixels, Spectrogram
from srcsep_core.data.base import world_of
from srcsep_core.data.mixes import MixConfig, draw_mixes
from srcsep_core.errors import InputError
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.steps import VALUES, TrainPriors
from srcsep_core.run.steps import blind as steps
from srcsep_core.run.steps.blind import GROUPED, MASKED, SEARCHED, UNMASKED, WAYS, TakeApart
from srcsep_core.run.store import Store
from srcsep_core.training.config import TrainConfig

TRAINING = TrainConfig(steps=2, batch_size=12, crop=64, learning_rate=1e-3, checkpoint_every=2)
SLOTS = SlotConfig(latent=3, hidden=(12,), warmup=1)
SOUND = replace(SLOTS, view=Spectrogram(16, 16, 16))
DIGITS, NOTES = world_of("digits"), world_of("notes_5k")
PAIR = MixConfig(("digit", "digit"), mixes=3, length=64)
NOTE_PAIR = MixConfig(("note", "note"), mixes=3, length=256)
NET = TrainPriors("vae-bss", "tiny", DIGITS, TRAINING, SLOTS)
ALONE = replace(NET, label="alone", network=replace(SLOTS, sources=1, slots=1))
NOTE_NET = TrainPriors("vae-bss", "tiny", NOTES, replace(TRAINING, crop=256), SOUND)
TRAINED = {MASKED: NET, UNMASKED: NET, GROUPED: NET, SEARCHED: ALONE}


@pytest.fixture
def line(tmp_path: Path) -> Pipeline:
    """A pipeline with an empty cache and nothing shipped."""
    return Pipeline(Store(tmp_path / "cache"), train=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of a few steps."""
    monkeypatch.setattr(SearchConfig, "__init__", _few_steps(SearchConfig.__init__))


def _few_steps(made: Any) -> Any:
    return lambda self, steps=5, starts=2, **others: made(self, steps, starts, **others)


def apart(way: str = MASKED, **changes: Any) -> TakeApart:
    return replace(TakeApart(DIGITS, PAIR, SLOTS.view, way, TRAINED.get(way)), **changes)


def of_notes(way: str = MASKED) -> TakeApart:
    return TakeApart(NOTES, NOTE_PAIR, SOUND.view, way, NOTE_NET if way in (MASKED, UNMASKED) else None)


def table_of(line: Pipeline, step: TakeApart) -> pd.DataFrame:
    return pd.read_csv(line.run(step) / VALUES)


def check_table(table: pd.DataFrame, metrics: tuple[str, ...], mixes: MixConfig, slots: int = 2) -> None:
    count = len(mixes.sources)
    assert list(table) == ["mix", "k", *metrics, "active"]
    assert table["mix"].tolist() == [mix for mix in range(mixes.mixes) for _ in range(count)]
    assert table["k"].tolist() == list(range(count)) * mixes.mixes
    assert table[list(metrics)].notna().all(axis=None)
    assert table["active"].between(1, slots).all() and table.groupby("mix")["active"].nunique().eq(1).all()


@pytest.mark.parametrize("way", WAYS)
def test_every_way_makes_a_row_a_mix_and_source(way: str, line: Pipeline) -> None:
    table = table_of(line, apart(way))
    check_table(table, PICTURES, PAIR)
    assert table["psnr"].between(0, 100).all() and table["ssim"].between(-1, 1).all()


@pytest.mark.parametrize("way", [MASKED, UNMASKED, "x/K", "nmf-is", "fastica", "irm"])
def test_sounds_have_the_measures_of_sounds(way: str, line: Pipeline) -> None:
    check_table(table_of(line, of_notes(way)), SOUNDS, NOTE_PAIR)


def test_slots_beyond_the_sources_are_left_out(line: Pipeline) -> None:
    wide = replace(NET, network=replace(SLOTS, slots=4))
    check_table(table_of(line, apart(trained=wide)), PICTURES, PAIR, slots=4)


def test_fewer_slots_than_sources_are_refused(line: Pipeline) -> None:
    step = apart(mixes=replace(PAIR, sources=("digit",) * 3))
    with pytest.raises(InputError, match="there are 2 estimates for 3 sources"):
        line.run(step)
    assert line.store.find(step.name, step.key) is None


def test_slots_are_put_together_as_the_truth_asks(line: Pipeline) -> None:
    wide, drawn = replace(NET, network=replace(SLOTS, slots=4)), draw_mixes(DIGITS, PAIR)
    found = apart(GROUPED, trained=wide).estimates(drawn, line)
    separate = line.priors(wide).net.separate(drawn.mix)
    torch.testing.assert_close(found, grouped(separate, drawn.sources))
    torch.testing.assert_close(found.sum(dim=1, keepdim=True), 2 * drawn.mix, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("way", [MASKED, UNMASKED, SEARCHED])
def test_table_is_that_of_the_network_itself(way: str, line: Pipeline) -> None:
    table, drawn, trained = table_of(line, apart(way)), draw_mixes(DIGITS, PAIR), TRAINED[way]
    net = line.priors(trained).net
    if way == SEARCHED:
        estimates = search(net, drawn.mix, 2, torch.Generator().manual_seed(PAIR.seed))
    else:
        estimates = net.separate(drawn.mix, masked=way == MASKED)
    for name, value in picture_scores(estimates, drawn.sources, (8, 8)).items():
        assert table[name].tolist() == pytest.approx(value.flatten().tolist(), rel=1e-4)


def test_network_of_single_sources_is_scaled_to_the_mixes(line: Pipeline) -> None:
    """Estimates are of sources, whatever number of them the network was trained for."""
    three = replace(NET, network=replace(SLOTS, sources=3, slots=3))
    drawn = draw_mixes(DIGITS, PAIR)
    found = apart(trained=three).estimates(drawn, line)
    assert found.shape == (3, 3, 64)
    torch.testing.assert_close(found.sum(dim=1, keepdim=True), 2 * drawn.mix, rtol=1e-4, atol=1e-5)


def test_batches_make_no_difference(line: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = draw_mixes(DIGITS, replace(PAIR, mixes=5))
    whole = apart().estimates(drawn, line)
    monkeypatch.setattr(steps, "BATCH", 2)
    torch.testing.assert_close(apart().estimates(drawn, line), whole)


@pytest.mark.parametrize("way", BASELINES)
def test_untrained_ways_need_no_training(way: str, tmp_path: Path) -> None:
    line = Pipeline(Store(tmp_path / "cache"), train=False)
    assert apart(way).parents == ()
    check_table(table_of(line, apart(way)), PICTURES, PAIR)


def test_networks_are_trained_only_where_that_was_asked_for(tmp_path: Path) -> None:
    assert apart().parents == (NET,)
    with pytest.raises(InputError, match="train"):
        Pipeline(Store(tmp_path / "cache"), train=False).run(apart())


def test_same_step_gives_the_same_table(line: Pipeline) -> None:
    for way in ("nmf-kl", "fastica", SEARCHED):
        again = Pipeline(Store(line.store.root / "again"), train=True)
        pd.testing.assert_frame_equal(table_of(again, apart(way)), table_of(line, apart(way)), check_exact=True)


def test_unknown_way_is_refused() -> None:
    with pytest.raises(InputError, match="unknown way of separation 'by ear'; use one of masked, as they are"):
        apart("by ear")


@pytest.mark.parametrize("way", [MASKED, UNMASKED, SEARCHED])
def test_ways_of_a_network_need_one(way: str) -> None:
    with pytest.raises(InputError, match=f"'{way}' is a way of a network; name the step that trains it"):
        apart(way, trained=None)


@pytest.mark.parametrize("way", BASELINES)
def test_ways_without_a_network_take_none(way: str) -> None:
    """Its result would be called that of another."""
    with pytest.raises(InputError, match=f"'{way}' needs no network; name none"):
        apart(way, trained=NET)


def variations() -> list[TakeApart]:
    """Steps that differ in one thing each."""
    return [
        *(apart(way) for way in WAYS),
        of_notes(),
        apart(mixes=replace(PAIR, mixes=4)),
        apart(mixes=replace(PAIR, seed=1)),
        apart(data=world_of("digits_halves"), mixes=replace(PAIR, sources=("low", "high"))),
        apart(trained=replace(NET, train=replace(TRAINING, seed=1))),
        apart(trained=replace(NET, network=replace(SLOTS, beta=0.1))),
        apart(trained=replace(NET, network=replace(SLOTS, slots=3))),
        apart(trained=replace(NET, model="ae-bss")),
        apart("nmf-kl", view=Pixels(4, 16)),
    ]


def test_key_and_title_depend_on_everything_that_the_result_does() -> None:
    keys = [step.key for step in variations()]
    assert len(set(keys)) == len(keys) == len({step.title for step in variations()})
    assert keys == [step.key for step in variations()], "and on nothing else"
    assert all(re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]*", step.title) for step in variations())


def test_titles_name_what_is_taken_apart_how() -> None:
    step, other = apart(UNMASKED), apart("x/K")
    assert step.title == f"blind-vae-bss-tiny-as_they_are-digits-2-{step.key[:8]}"
    assert other.title == f"blind-untrained-x_over_K-digits-2-{other.key[:8]}"


def test_search_settings_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    searched, masked = apart(SEARCHED).key, apart().key
    monkeypatch.setattr(steps, "SearchConfig", lambda: SearchConfig(steps=6))
    assert apart(SEARCHED).key != searched and apart().key == masked
