"""The world of single notes: recordings in one split each, levels, and what is played higher and lower."""

import numpy as np
import pandas as pd
import pytest
import torch
from script_files import script_module
from torch import Tensor

from srcsep_core.data import single_notes
from srcsep_core.data.base import EvalConfig, Split, world_of
from srcsep_core.data.mixes import MixConfig, draw_mixes
from srcsep_core.data.notes import RATE, note_bank
from srcsep_core.data.single_notes import GAIN_DB, LONGEST, RMS, SHARED, SHIFTS, NoteWorld, Recording, recordings
from srcsep_core.errors import InputError

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
PAIR = NoteWorld(sources=("note", "note"))


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(
    world: NoteWorld = PAIR, batch: int = 20, length: int = 4096, seed: int = 5, split: Split = "train"
) -> tuple[Tensor, list[list[Recording]]]:
    return world.draw_named(batch, length, seeded(seed), split=split)


def pitch(note: Tensor, rate: int) -> float:
    """The lag of the highest peak of the autocorrelation, as a frequency in Hz; of a note that has one."""
    spectrum = np.fft.rfft(note.double().numpy(), 1 << 15)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: len(note) // 2]
    low = int(np.argmax(correlation < 0))
    return rate / (low + int(np.argmax(correlation[low:])))


def test_draws_are_determined_by_the_generator() -> None:
    first = draw()[0]
    assert first.shape == (20, 2, 4096) and first.dtype == torch.float32 and first.abs().max() <= 1
    assert torch.equal(first, draw()[0]) and not torch.equal(first, draw(seed=6)[0])
    assert torch.equal(PAIR.draw(20, 4096, seeded()), first)


def test_every_recording_is_in_one_split() -> None:
    found = {split: set(recordings(split)) for split in SPLITS}
    pitched = [one for one in note_bank(RATE).instruments.values() if one.source != "drums"]
    assert sum(map(len, found.values())) == len(set.union(*found.values())) == sum(len(one.keys) for one in pitched)
    assert len(found["train"]) > 2 * len(found["test"]) > 4 * 20
    alone = {name for name, _ in found["train"]} - {name for name, _ in found["test"]}
    assert alone == {"bass_synth", "choir_oh", "choir_synth", "organ", "voice_solo"}, "of fewer than four recordings"


@pytest.mark.slow
def test_nothing_to_train_on_is_a_test_recording_at_another_pitch() -> None:
    """A soundfont plays one sample at neighbouring keys; brought to one pitch its notes are nearly the same."""
    script = script_module("shared_recordings")
    splits = {note: split for split in SPLITS for note in recordings(split)}
    pairs = script.alike(list(splits))
    assert len(pairs) > 100 and all(splits[first] == splits[second] for first, second in pairs)
    committed = pd.read_csv(note_bank(RATE).folder / SHARED)
    pd.testing.assert_frame_equal(script.shared_recordings(), committed)


@pytest.mark.parametrize("split", SPLITS)
def test_what_is_drawn_is_of_the_split(split: Split) -> None:
    named = {one for row in draw(batch=1500, length=8, split=split)[1] for one in row}
    assert named <= set(recordings(split))
    assert len(named) > 0.9 * len(recordings(split)), "and all of it is"


def test_test_set_is_of_recordings_that_training_has_not() -> None:
    named = {one for row in draw(batch=1500, length=8, split="test")[1] for one in row}
    assert not named & set(recordings("train")) and not named & set(recordings("validation"))
    evaluation = EvalConfig(signals=4, length=512, seed=3)
    assert torch.equal(PAIR.test_set(evaluation), draw(batch=4, length=512, seed=3, split="test")[0])


@pytest.mark.parametrize("split", ["validation", "test"])
def test_no_row_has_a_recording_twice(split: Split) -> None:
    named = draw(NoteWorld(sources=("note",) * 4), batch=500, length=8, split=split)[1]
    assert all(len(set(row)) == 4 for row in named)


def test_no_row_to_train_on_has_a_note_twice() -> None:
    """It may have the same recording at two pitches."""
    drawn = draw(NoteWorld(sources=("note",) * 3), batch=300, length=1024)[0]
    unit = drawn / drawn.norm(dim=2, keepdim=True)
    like = (unit @ unit.mT) - torch.eye(3)
    assert like.max() < 1 - 1e-6


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("length", [512, 4096, LONGEST])
def test_levels_are_within_three_decibel(length: int, split: Split) -> None:
    """But for notes whose peaks are capped, which are less loud."""
    drawn = draw(batch=200, length=length, split=split)[0]
    level = 20 * (drawn.square().mean(dim=2).sqrt() / RMS).log10()
    whole = level[(drawn.abs() < 1).all(dim=2)]
    assert len(whole) > 0.9 * level.numel() and level.max() <= GAIN_DB + 1e-3
    assert -GAIN_DB - 1e-3 <= whole.min() < -2.7 and whole.max() > 2.7, "all of the range"


def test_same_recording_has_the_same_sound_but_for_its_gain() -> None:
    drawn, named = draw(NoteWorld(), batch=400, length=1024, split="test")
    places = [k for k, [one] in enumerate(named) if one == named[0][0]]
    assert len(places) > 2
    unit = drawn[places, 0] / drawn[places, 0].norm(dim=1, keepdim=True)
    torch.testing.assert_close(unit, unit[:1].expand_as(unit), rtol=1e-3, atol=1e-5)


def test_longer_signals_begin_alike() -> None:
    short, long = draw(length=1024)[0], draw(length=LONGEST)[0]
    whole = (short.abs() < 1).all(dim=2) & (long.abs() < 1).all(dim=2)
    assert whole.sum() > 30
    short, long = short[whole][None], long[whole][None]
    unit = [x[..., :1024] / x[..., :1024].norm(dim=2, keepdim=True) for x in (short, long)]
    torch.testing.assert_close(*unit, rtol=1e-3, atol=1e-5)


def test_notes_to_train_on_are_shifted_and_stay_with_their_instrument() -> None:
    """A note is named by what was recorded, in as many pitches as there are shifts; others in one."""
    named, sounds = single_notes._sounds(5_500, "train")
    assert len(named) == len(sounds) == len(SHIFTS) * len(recordings("train"))
    assert [named[k] for k in range(0, len(named), len(SHIFTS))] == recordings("train")
    assert all(len(set(named[k : k + len(SHIFTS)])) == 1 for k in range(0, len(named), len(SHIFTS)))
    assert single_notes._sounds(5_500, "test")[0] == recordings("test")


def test_shifts_are_semitones() -> None:
    """Of a note of a steady pitch in the middle of its instrument's range."""
    named, sounds = single_notes._sounds(5_500, "train")
    middle = [k for k, (_, key) in enumerate(named) if 55 <= key <= 62]
    first = [k for k in middle if k % len(SHIFTS) == 0]
    assert len(first) > 10
    off = []
    for k in first:
        frequencies = [pitch(sound[1000:5000], 5_500) for sound in sounds[k : k + len(SHIFTS)]]
        expected = [440 * 2 ** ((named[k][1] + shift - 69) / 12) for shift in SHIFTS]
        off.append(np.median(np.abs(12 * np.log2(np.array(frequencies) / expected)) % 12))
    assert np.median(off) < 0.5, "most are in tune, to the sample"


def test_mixes_are_the_mean_of_different_notes() -> None:
    drawn = draw_mixes(world_of("notes_5k"), MixConfig(("note", "note"), mixes=6, length=512))
    torch.testing.assert_close(drawn.mix, drawn.sources.mean(dim=1, keepdim=True))
    assert not torch.equal(drawn.sources[:, 0], drawn.sources[:, 1])


def test_world_is_that_of_its_variant() -> None:
    world = world_of("notes_5k")
    assert isinstance(world, NoteWorld) and world.sample_rate == 5_500 and world.trained_on == "notes_5k"
    assert world.typical_rms == {"note": RMS} and world.only(("note",) * 3).sources == ("note",) * 3
    assert 0 < world.unit < 1 and set(world.colours) == {"note"}


def test_unknown_variant_is_refused() -> None:
    with pytest.raises(InputError, match="unknown notes variant 'notes_9k'; use one of notes_5k"):
        NoteWorld("notes_9k")


@pytest.mark.parametrize("sources", [(), ("drums",), ("note", "drums")])
def test_unknown_source_is_refused(sources: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=f"every source of the notes is a note, not {', '.join(sources)}; name them"):
        NoteWorld(sources=sources)


@pytest.mark.parametrize("length", [0, LONGEST + 1])
def test_length_beyond_a_note_is_refused(length: int) -> None:
    with pytest.raises(InputError, match=f"the length is {length} samples; notes have 1 to {LONGEST}"):
        PAIR.draw(1, length, seeded())
