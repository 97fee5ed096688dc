"""How close estimates are to the sources: SI-SDR, SI-SIR, SI-SAR, their improvement, the order, and kinds of failure.

Estimates and references are (..., K, T); everything is computed in float64, along T. What is undefined is not hidden:

- a silent reference (mean square below `SILENCE_POWER`) gives NaN: there is nothing to be close to;
- a silent estimate of a sounding reference gives -inf, and so does one that is orthogonal to its reference
  (less than 1e-20 of its energy lies along it, which is rounding);
- a perfect estimate is capped at `CEILING_DB`, where float32 samples run out of digits.

Sources: Le Roux, Wisdom, Erdogan & Hershey 2019, "SDR - half-baked or well done?" (SI-SDR); Scheibler 2022, "SDR -
medium rare with fast computations" (SI-SIR and SI-SAR by projection on all references).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from srcsep_core.checks import check_finite
from srcsep_core.errors import InputError

SILENCE_POWER = 1e-10  # mean square: root mean square 1e-5, 100 dB below full scale
CEILING_DB = 100.0
_ROUNDING = 1e-20  # share of an estimate's energy below which it counts as zero

FAILURE_KINDS = ("none", "swap", "offset", "edge", "wrong harmonic", "other", "silent", "undefined")
EDGE_SHARE = 0.05
HARMONIC_RATIOS = tuple(sorted({p / q for p in range(1, 5) for q in range(1, 5) if p != q}))
HARMONIC_TOLERANCE = 0.03
_CLARITY = 0.5  # of a fundamental, as the normalised autocorrelation at its period
_LAG_STEPS = 16  # lags a sample, by band-limited interpolation
_FIRST_PEAK = 0.7  # of the highest peak: the first peak this high is the period


@dataclass(frozen=True)
class BssEval:
    """Scale-invariant ratios of every source, each (..., K) in dB: distortion, interference and artefacts."""

    si_sdr: Tensor
    si_sir: Tensor
    si_sar: Tensor


def si_sdr(*, estimate: Tensor, reference: Tensor, zero_mean: bool = False) -> Tensor:
    """Scale-invariant signal-to-distortion ratio of estimates and references (..., K, T): (..., K) in dB.

    The energy of the part of the estimate along its reference over the energy of the rest (Le Roux et al. 2019). As
    there, the mean stays: an offset counts as distortion unless `zero_mean` removes it from both. See the module for
    silent and perfect signals.

    Raises `InputError` for shapes that differ or lack an axis, no samples, whole numbers, NaN and infinity.
    """
    estimate, reference = _checked(estimate, reference)
    return _si_sdr(estimate, reference, zero_mean)


def bss_eval(*, estimate: Tensor, reference: Tensor) -> BssEval:
    """SI-SDR, SI-SIR and SI-SAR of estimates and references (..., K, T), estimate k being of reference k.

    An estimate is target (its projection on its own reference) + interference (its projection on the span of all
    references, minus target) + artefacts (the rest). SDR = target / (interference + artefacts), SIR = target /
    interference, SAR = (target + interference) / artefacts, in energy (Vincent et al. 2006 and
    Scheibler 2022, with filters of one tap). Le Roux et al. (2019) put the target alone over the artefacts in their
    SAR. With one source, or references that are multiples of each other, there is no interference and SIR is at
    `CEILING_DB`.

    Raises `InputError` as `si_sdr` does.
    """
    estimate, reference = _checked(estimate, reference)
    unit = reference / _norm(reference).clamp_min(torch.finfo(torch.float64).tiny)
    unit = torch.where(_silent(reference)[..., None], 0.0, unit)
    along = estimate @ unit.mT
    target = along.diagonal(dim1=-2, dim2=-1)[..., None] * unit
    spanned = along @ torch.linalg.pinv(unit @ unit.mT, rtol=1e-10, hermitian=True) @ unit

    def ratio(signal: Tensor, rest: Tensor) -> Tensor:
        return _undefined(_decibel(signal, rest, estimate), estimate, reference)

    return BssEval(
        si_sdr=_si_sdr(estimate, reference, zero_mean=False),
        si_sir=ratio(target, spanned - target),
        si_sar=ratio(spanned, estimate - spanned),
    )


def improvement(*, estimate: Tensor, reference: Tensor, mix: Tensor) -> Tensor:
    """SI-SDRi of estimates and references (..., K, T) over the mix (..., 1, T): (..., K) in dB.

    The SI-SDR of the estimate minus that of the mix taken as the estimate of every source. NaN where the reference is
    silent, or where the mix holds nothing of it (its SI-SDR is -inf), so that no gain over it is defined.

    Raises `InputError` as `si_sdr` does, and for a mix of another shape than (..., 1, T).
    """
    estimate, reference = _checked(estimate, reference)
    wanted = (*reference.shape[:-2], 1, reference.shape[-1])
    if mix.shape != wanted:
        raise InputError(f"expected a mix of shape {wanted}, got {tuple(mix.shape)}; pass one mix a set of sources")
    check_finite(mix, "the mix")
    before = _si_sdr(mix.double().expand_as(reference), reference, zero_mean=False)
    return torch.where(before.isfinite(), _si_sdr(estimate, reference, zero_mean=False) - before, torch.nan)


def best_permutation(
    *, estimate: Tensor, reference: Tensor, groups: Sequence[str] | None = None
) -> tuple[Tensor, Tensor]:
    """The estimates (..., K, T) in the order with the highest mean SI-SDR, and that order, (..., K) int64.

    `order[..., k]` is the estimate given to reference k. With `groups`, the class of each of the K sources, only
    sources of one class are exchanged; where the classes are known and differ, nothing is to be permuted and the
    metrics here permute nothing by themselves. Optimal assignment (Kuhn 1955) on SI-SDR clipped to +-`CEILING_DB`;
    a silent reference takes what is left over.

    Raises `InputError` as `si_sdr` does, and unless `groups` names K classes.
    """
    checked, reference = _checked(estimate, reference)
    count, length = reference.shape[-2:]
    names = ["any"] * count if groups is None else list(groups)
    if len(names) != count:
        raise InputError(f"there are {len(names)} groups for {count} sources; name the class of every source")
    members = [[k for k, other in enumerate(names) if other == name] for name in dict.fromkeys(names)]
    scores = _pairwise(checked, reference).nan_to_num(nan=0.0).clamp(-CEILING_DB, CEILING_DB)
    order = torch.empty(reference.shape[:-1], dtype=torch.int64).reshape(-1, count)
    for row, table in enumerate(scores.reshape(-1, count, count).cpu().numpy()):
        for group in members:
            references, estimates = linear_sum_assignment(table[np.ix_(group, group)].T, maximize=True)
            for k, chosen in zip(references, estimates, strict=True):
                order[row, group[int(k)]] = group[int(chosen)]
    order = order.reshape(reference.shape[:-1]).to(estimate.device)
    return estimate.gather(-2, order[..., None].expand(*order.shape, length)), order


def failure_kind(*, estimate: Tensor, reference: Tensor, threshold_db: float = 10.0) -> np.ndarray:
    """What went wrong with each estimate below `threshold_db` of SI-SDR: (..., K, T) to names of shape (..., K).

    The first of these (`FAILURE_KINDS`) that holds:

    - `undefined`: the reference is silent; `none`: the SI-SDR is at the threshold or above; `silent`: the estimate is;
    - `swap`: the estimate is closer in SI-SDR to another reference than to its own, and at 0 dB or more there
      (most of its energy lies along it: without this bound, most noise would be nearer to some other source);
    - `offset`: without the means of estimate and reference, the SI-SDR is at the threshold or above;
    - `edge`: more than half the energy of the error (estimate minus its projection) lies in 5 % of the samples, as
      when the jumps of a square wave are misplaced;
    - `wrong harmonic`: the fundamentals have a ratio within 3 % of p/q, p and q at most 4 and different
      (see `fundamental_period`); unrelated frequencies meet this by chance now and then;
    - `other`.

    Raises `InputError` as `si_sdr` does.
    """
    estimate, reference = _checked(estimate, reference)
    count, length = reference.shape[-2:]
    pairs = _pairwise(estimate, reference).reshape(-1, count, count)
    centred = _si_sdr(estimate, reference, zero_mean=True).reshape(-1, count)
    silent = _silent(estimate).reshape(-1, count)
    estimates, references = estimate.reshape(-1, count, length), reference.reshape(-1, count, length)

    def kind(row: int, k: int) -> str:
        own = float(pairs[row, k, k])
        others = [float(pairs[row, k, j]) for j in range(count) if j != k]
        if np.isnan(own):
            return "undefined"
        if own >= threshold_db:
            return "none"
        if silent[row, k]:
            return "silent"
        if any(other > own and other >= 0 for other in others):
            return "swap"
        if float(centred[row, k]) >= threshold_db:
            return "offset"
        if _concentrated(estimates[row, k], references[row, k]):
            return "edge"
        if _harmonic(fundamental_period(estimates[row, k]), fundamental_period(references[row, k])):
            return "wrong harmonic"
        return "other"

    kinds = [kind(row, k) for row in range(len(pairs)) for k in range(count)]
    return np.array(kinds, dtype=f"<U{max(map(len, FAILURE_KINDS))}").reshape(reference.shape[:-1])


def fundamental_period(x: Tensor) -> float | None:
    """The period of the signal `x` (T,) in samples, or None if it shows none.

    The first peak of the normalised autocorrelation, beyond its first negative value, that reaches 0.7 of its highest
    peak (McLeod & Wyvill 2005, "A smarter way to find pitch"; where they refine the peak by a parabola, lags are
    1/16 of a sample apart here). Lags go up to 3/4 of the signal; a highest peak below 0.5 counts as no period.
    """
    samples = x.detach().cpu().double().numpy()
    samples = samples - samples.mean()
    length = len(samples)
    lags = 3 * length // 4
    if lags < 3 or (samples**2).mean() < SILENCE_POWER:
        return None
    power = np.abs(np.fft.rfft(samples, 2 * length)) ** 2
    products = _LAG_STEPS * np.fft.irfft(power, 2 * length * _LAG_STEPS)[: (lags - 1) * _LAG_STEPS + 1]
    energy = np.concatenate([[0.0], np.cumsum(samples**2)])
    shared = (energy[::-1] + energy[-1] - energy)[:lags]  # of both stretches that a lag compares
    shared = np.interp(np.arange(len(products)) / _LAG_STEPS, np.arange(lags), shared)
    similarity = 2 * products / np.maximum(shared, energy[-1] * 1e-12)
    negative = np.flatnonzero(similarity < 0)
    if len(negative) == 0:
        return None
    signs = np.concatenate([[False], similarity[negative[0] :] > 0, [False]])
    starts, stops = np.flatnonzero(np.diff(signs.astype(int))).reshape(-1, 2).T + negative[0]
    peaks = [int(start + similarity[start:stop].argmax()) for start, stop in zip(starts, stops, strict=True)]
    peaks = [peak for peak in peaks if peak < len(products) - 1]
    highest = max((similarity[peak] for peak in peaks), default=0.0)
    if highest < _CLARITY:
        return None
    peak = next(peak for peak in peaks if similarity[peak] >= _FIRST_PEAK * highest)
    return peak / _LAG_STEPS


def _harmonic(period: float | None, wanted: float | None) -> bool:
    if period is None or wanted is None:
        return False
    return any(abs(period / wanted / ratio - 1) <= HARMONIC_TOLERANCE for ratio in HARMONIC_RATIOS)


def _concentrated(estimate: Tensor, reference: Tensor) -> bool:
    """Whether 5 % of the samples hold more than half the energy of the error, for signals (T,)."""
    error = (estimate - (estimate @ reference) / (reference @ reference) * reference).square()
    loudest = error.topk(max(1, round(EDGE_SHARE * len(error)))).values
    return bool(loudest.sum() > 0.5 * error.sum())


def _si_sdr(estimate: Tensor, reference: Tensor, zero_mean: bool) -> Tensor:
    """SI-SDR along the last axis; the other axes broadcast."""
    if zero_mean:
        estimate = estimate - estimate.mean(dim=-1, keepdim=True)
        reference = reference - reference.mean(dim=-1, keepdim=True)
    power = reference.square().sum(dim=-1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    target = (estimate * reference).sum(dim=-1, keepdim=True) / power * reference
    return _undefined(_decibel(target, estimate - target, estimate), estimate, reference)


def _pairwise(estimate: Tensor, reference: Tensor) -> Tensor:
    """SI-SDR of every estimate against every reference: (..., K, T) twice to (..., K estimates, K references)."""
    columns = [_si_sdr(estimate, one, zero_mean=False) for one in reference.split(1, dim=-2)]
    return torch.stack(columns, dim=-1)


def _decibel(signal: Tensor, rest: Tensor, estimate: Tensor) -> Tensor:
    """Energy of `signal` over that of `rest` in dB: at most `CEILING_DB`, -inf where `signal` is rounding."""
    above, below = signal.square().sum(dim=-1), rest.square().sum(dim=-1)
    ratio = 10 * (above / below.clamp_min(torch.finfo(torch.float64).tiny)).log10()
    nothing = above <= _ROUNDING * estimate.square().sum(dim=-1)
    return torch.where(nothing, -torch.inf, ratio.clamp_max(CEILING_DB))


def _undefined(ratio: Tensor, estimate: Tensor, reference: Tensor) -> Tensor:
    ratio = torch.where(_silent(estimate), -torch.inf, ratio)
    return torch.where(_silent(reference), torch.nan, ratio)


def _silent(x: Tensor) -> Tensor:
    return x.square().mean(dim=-1) < SILENCE_POWER


def _norm(x: Tensor) -> Tensor:
    return x.square().sum(dim=-1, keepdim=True).sqrt()


def _checked(estimate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float64, or `InputError`."""
    if estimate.shape != reference.shape:
        raise InputError(
            f"the estimate has the shape {tuple(estimate.shape)} and the reference {tuple(reference.shape)}; "
            "pass one estimate for every reference, of the same length"
        )
    if reference.ndim < 2:
        raise InputError(f"expected signals of shape (..., K, T), got {tuple(reference.shape)}; add the source axis")
    if reference.numel() == 0:
        raise InputError(f"the signals are empty (shape {tuple(reference.shape)}); pass at least one sample")
    check_finite(estimate, "the estimate")
    check_finite(reference, "the reference")
    return estimate.detach().double(), reference.detach().double()
