"""What lies above the priors' band is taken apart from what they hear, and the two are the recording."""

import math

import pytest
import torch
from torch import Tensor

from srcsep_core.audio import resample
from srcsep_core.separate.band import ABOVE_BAND_DB, back, split_band

RATE = 16_000


def tone(frequency: float, rate: int, length: int, amplitude: float = 0.5) -> Tensor:
    time = torch.arange(length, dtype=torch.float64) / rate
    return (amplitude * (2 * math.pi * frequency * time).cos()).float()[None]


def split(mix: Tensor, sample_rate: int) -> tuple[Tensor, Tensor | None, float]:
    heard = resample(mix, from_rate=sample_rate, to_rate=RATE)
    return split_band(mix, heard, rate=RATE, sample_rate=sample_rate)


@pytest.mark.parametrize("sample_rate", [44_100, 48_000])
def test_what_is_above_is_split_off(sample_rate: int) -> None:
    length = sample_rate // 2
    low, high = tone(1_000, sample_rate, length), tone(11_000, sample_rate, length, 0.05)
    mix = torch.cat([low + high, 0.5 * low])
    below, above, level = split(mix, sample_rate)
    assert above is not None
    inner = slice(1_000, -1_000)
    torch.testing.assert_close(below + above, mix, atol=1e-6, rtol=0)
    torch.testing.assert_close(above[:, inner], torch.cat([high, 0 * high])[:, inner], atol=1e-3, rtol=0)
    assert level == pytest.approx(10 * math.log10(0.05**2 / (0.5**2 + 0.05**2 + 0.25**2)), abs=0.3)


@pytest.mark.parametrize("length", [44_100 // 15, 44_100])
def test_ends_of_a_recording_are_not_taken_for_what_is_above(length: int) -> None:
    mix = tone(1_000, 44_100, length)  # starts at its peak, which the filters ring on
    below, above, level = split(mix, 44_100)
    assert above is None and below is mix and level < ABOVE_BAND_DB


def test_nothing_is_above_at_the_priors_rate_or_below() -> None:
    for sample_rate in (8_000, RATE):
        mix = tone(3_900, sample_rate, 4_000)
        assert split(mix, sample_rate) == (mix, None, -math.inf)


def test_the_way_back_keeps_rate_and_length() -> None:
    x = torch.rand(2, 3, 1_000, generator=torch.Generator().manual_seed(0))
    assert back(x, rate=RATE, sample_rate=44_100, length=2_750).shape == (2, 3, 2_750)
    assert back(x, rate=RATE, sample_rate=RATE, length=1_000) is x
