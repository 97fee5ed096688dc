"""The length of a signal as FLAC: the entropy of what a linear predictor cannot predict."""

import math

import pytest
import torch

from srcsep_core.diagnostics.complexity import flac_length
from srcsep_core.errors import InputError


@pytest.mark.parametrize("sigma", [0.03, 0.2])
def test_white_noise_takes_its_entropy(sigma: float, generator: torch.Generator) -> None:
    noise = sigma * torch.randn(2, 8192, generator=generator)
    entropy = math.log(sigma * 2**15) + 0.5 * math.log(2 * math.pi * math.e)
    assert (flac_length(noise, 8000) - entropy).abs().max() < 0.15


def test_what_is_simple_is_short() -> None:
    time = torch.arange(8192)
    silence, tone, tones = torch.zeros(8192), 0.3 * torch.sin(0.05 * time), 0.1 * torch.sin(1e-5 * time.double() ** 2)
    found = flac_length(torch.stack([silence, tone, tones.float()]), 8000)
    assert found[0] == 0 and 0 < found[1] < 3 and found[2] > found[0]


def test_length_does_not_hang_on_the_sign_or_on_the_other_rows(generator: torch.Generator) -> None:
    rows = torch.rand(3, 2048, generator=generator) - 0.5
    assert torch.equal(flac_length(rows, 8000)[1:], flac_length(rows[1:], 8000))


def test_other_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(2, 1, 8\); pass \(N, T\)"):
        flac_length(torch.zeros(2, 1, 8), 8000)
