"""Recordings of songs as they come: loud, with an offset, a hole, another rate, two channels, one window long."""

import pytest
import torch
from fresh_stems import CONFIG, NAMES, fresh_priors, song
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.separate import SeparateConfig, separate_audio
from srcsep_core.separate.separators import SourcePriors


@pytest.fixture
def config() -> SeparateConfig:
    return CONFIG


@pytest.fixture
def priors() -> SourcePriors:
    return fresh_priors()


def with_hole(x: Tensor) -> Tensor:
    return torch.cat([x[:, :800], torch.zeros(1, 1500), x[:, 2300:]], dim=1)


@pytest.mark.parametrize(
    ("recording", "rate"),
    [
        pytest.param(5 * song(3000), 8000, id="louder than full scale"),
        pytest.param(song(3000) + 0.3, 8000, id="with an offset"),
        pytest.param(with_hole(song(3000)), 8000, id="with digital silence in it"),
        pytest.param(song(1024), 8000, id="one window long"),
        pytest.param(song(300), 8000, id="shorter than a window"),
        pytest.param(1e-4 * song(3000), 8000, id="very quiet"),
        pytest.param(song(9000), 22_050, id="at another rate"),
        pytest.param(torch.cat([song(3000), 0.2 * song(3000)]), 8000, id="of two channels"),
    ],
)
def test_stems_sum_to_the_recording(recording: Tensor, rate: int, config: SeparateConfig, priors: SourcePriors) -> None:
    result = separate_audio(recording, rate, NAMES, config, priors=priors)
    assert result.stems.isfinite().all() and result.stems.shape[0] == 2
    total = result.stems.sum(dim=0)
    assert total.shape[0] == len(recording)
    if rate == 8000:
        torch.testing.assert_close(total, recording, rtol=1e-4, atol=1e-6 * float(recording.abs().max()) + 1e-9)


def test_much_less_than_a_window_is_named(config: SeparateConfig, priors: SourcePriors) -> None:
    with pytest.raises(InputError, match="has 100 samples but 128 are needed; use a longer signal"):
        separate_audio(song(100), 8000, NAMES, config, priors=priors)


def test_silence_is_named(config: SeparateConfig, priors: SourcePriors) -> None:
    with pytest.raises(InputError, match="silent"):
        separate_audio(torch.zeros(1, 3000), 8000, NAMES, config, priors=priors)


def test_a_short_recording_has_the_gain_of_its_loudness(config: SeparateConfig, priors: SourcePriors) -> None:
    """The silence that fills its window up does not count."""
    gains = [
        separate_audio(scale * song(1024)[:, :length], 8000, NAMES, config, priors=priors).report["gain"][0]
        for scale, length in ((1.0, 1024), (1.0, 300), (2.0, 300))
    ]
    part = song(1024)[:, :300]
    ratio = float(song(1024).square().mean().sqrt() / part.square().mean().sqrt())
    assert gains[1] == pytest.approx(gains[0] * ratio, rel=1e-3) and gains[2] == pytest.approx(gains[1] / 2, rel=1e-3)
