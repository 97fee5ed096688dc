"""Toy sources made to order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from srcsep_core.data.toy import SOURCES, key_to_frequency
from srcsep_core.errors import InputError


@dataclass(frozen=True)
class ToySource:
    """One source of a mix: its class, frequency (Hz), amplitude, and phase (periods at sample 0)."""

    name: str
    frequency_hz: float
    amplitude: float = 0.9
    phase: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in SOURCES:
            raise InputError(f"unknown toy source {self.name!r}; use one of {', '.join(SOURCES)}")
        if not (0 < self.amplitude < math.inf and math.isfinite(self.phase)):
            raise InputError(
                f"the {self.name} has amplitude {self.amplitude} and phase {self.phase}; use finite numbers, "
                "and an amplitude above 0"
            )


@dataclass(frozen=True)
class Scene:
    """What is separated: the mix (1, T), with its noise, and the true sources (K, T)."""

    mix: Tensor
    sources: Tensor


def real_frequency(frequency_hz: float, variant: str, sample_rate: int) -> float:
    """The nearest frequency (Hz) that a toy world has: whole periods, or piano keys in `piano_keys`."""
    if variant == "whole_periods":
        return sample_rate / max(2, round(sample_rate / frequency_hz))
    if variant == "piano_keys":
        key = round(12 * math.log2(frequency_hz / 440)) + 49
        return float(key_to_frequency(torch.tensor(float(min(max(key, 1), 88)), dtype=torch.float64)))
    return frequency_hz
