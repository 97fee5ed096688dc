"""Checks of signals that come from outside."""

from __future__ import annotations

import torch
from torch import Tensor

from srcsep_core.errors import InputError


def check_multiple(what: str, length: int, factor: int) -> None:
    """Raise `InputError` unless `length` samples are a multiple of `factor` that a network can take."""
    if length < 1 or length % factor:
        raise InputError(
            f"the {what} has {length} samples, not a multiple of {factor}, which the network needs; "
            f"use {factor * max(1, length // factor)}"
        )


def check_waveform(
    x: Tensor, *, multiple_of: int = 1, channels: int | None = 1, dtype: torch.dtype | None = None
) -> None:
    """Raise `InputError` unless `x` is a finite waveform batch (B, C, T) that the caller can use.

    Silence passes: a prior has a density at zero too. `multiple_of` is what T must be divisible by, `dtype` the
    precision of the model.
    """
    if x.ndim != 3:
        raise InputError(
            f"expected a waveform batch of shape (B, C, T), got shape {tuple(x.shape)}; add the missing axes"
        )
    if channels is not None and x.shape[1] != channels:
        raise InputError(
            f"expected {channels} channel(s), got {x.shape[1]} in shape {tuple(x.shape)}; "
            "select or average channels, or pass sources one at a time"
        )
    if x.shape[0] == 0:
        raise InputError(f"the batch is empty (shape {tuple(x.shape)}); pass at least one signal")
    length = x.shape[2]
    if length < multiple_of:
        raise InputError(
            f"the signal is too short: {length} samples where the model takes multiples of {multiple_of}; "
            f"pass at least {multiple_of} samples"
        )
    if length % multiple_of:
        raise InputError(
            f"the length {length} is not a multiple of {multiple_of}; cut the signal to "
            f"{length - length % multiple_of} samples"
        )
    if not x.is_floating_point():
        raise InputError(f"expected floating-point samples, got {x.dtype}; convert with x.float() and scale to [-1, 1]")
    bad = int((~x.isfinite()).sum())
    if bad:
        raise InputError(f"{bad} of {x.numel()} samples are NaN or infinite; clean the signal first")
    if dtype is not None and x.dtype != dtype:
        raise InputError(f"the samples are {x.dtype} but the model is {dtype}; convert one of them with .to(...)")


def check_finite(x: Tensor, what: str = "the signal") -> None:
    """Raise `InputError`, naming `what`, unless the samples `x` of any shape are finite floating-point numbers."""
    if not x.is_floating_point():
        raise InputError(f"{what} is {x.dtype}; convert it to floating point, for example with x.float()")
    bad = int((~x.isfinite()).sum())
    if bad:
        raise InputError(f"{bad} of {x.numel()} samples of {what} are NaN or infinite; clean or drop the signal first")
