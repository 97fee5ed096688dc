"""How close estimates are to their sources where nobody says which is which: the best assignment, then the measures.

Of pictures PSNR and SSIM (Wang et al. 2004; scikit-image), of sounds SI-SDR, SI-SIR and SI-SAR (`metrics`).
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import one_hot

from srcsep_core.checks import check_finite
from srcsep_core.errors import InputError
from srcsep_core.metrics import bss_eval, si_sdr

PICTURES, SOUNDS = ("psnr", "ssim"), ("si_sdr", "si_sir", "si_sar")
ACTIVE = 0.02  # of the energy of all slots: what holds less is silent
CEILING_DB, WINDOW = 100.0, 7


def psnr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Peak signal-to-noise ratio along the last axis, dB, of values in [0, 1]; estimates are capped to that."""
    error = (estimate.clamp(0, 1) - reference).double().square().mean(dim=-1)
    return -10 * error.clamp(min=10 ** (-CEILING_DB / 10)).log10()


def ssim(estimate: Tensor, reference: Tensor, size: tuple[int, int]) -> Tensor:
    """Structural similarity of pictures (..., D) of `size` rows and columns, in windows of 7 x 7: (...)."""
    from skimage.metrics import structural_similarity

    pairs = zip(
        estimate.clamp(0, 1).reshape(-1, *size).double().cpu().numpy(),
        reference.reshape(-1, *size).double().cpu().numpy(),
        strict=True,
    )
    values = [structural_similarity(one, other, data_range=1.0, win_size=WINDOW) for one, other in pairs]
    return torch.tensor(values, dtype=torch.float64).view(reference.shape[:-1])


def assigned(estimates: Tensor, scores: Tensor) -> Tensor:
    """Of estimates (B, M, T) one for each of K sources, by the highest sum of `scores` (B, M, K): (B, K, T).

    Hungarian assignment (Kuhn 1955). Estimates that are left over are dropped. Raises `InputError` for fewer estimates
    than sources.
    """
    count = scores.shape[2]
    if scores.shape[1] < count:
        raise InputError(f"there are {scores.shape[1]} estimates for {count} sources; use as many slots or more")
    order = np.empty((len(scores), count), np.int64)
    for row, table in enumerate(scores.nan_to_num(nan=-1e3, neginf=-1e3, posinf=1e3).cpu().numpy()):
        chosen, sources = linear_sum_assignment(table, maximize=True)
        order[row, sources] = chosen
    index = torch.from_numpy(order).to(estimates.device)
    return estimates.gather(1, index[..., None].expand(-1, -1, estimates.shape[2]))


def grouped(estimates: Tensor, sources: Tensor) -> Tensor:
    """The sums of estimates (B, M, T), each given to the source where all together are nearest: (B, K, T).

    Knows the truth: of all K^M ways to give M estimates to K sources (B, K, T) the one with the smallest squared error.
    """
    count, slots = sources.shape[1], estimates.shape[1]
    best, least = torch.zeros_like(sources), sources.new_full((len(sources), 1, 1), float("inf"))
    for owners in product(range(count), repeat=slots):
        given = one_hot(torch.tensor(owners, device=estimates.device), count).to(estimates)
        sums = given.T @ estimates
        error = (sums - sources).square().sum(dim=(1, 2), keepdim=True)
        best, least = torch.where(error < least, sums, best), torch.minimum(error, least)
    return best


def picture_scores(estimates: Tensor, sources: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    """PSNR (dB) and SSIM of every source, (B, K) each, of estimates (B, M, D) assigned by PSNR to (B, K, D)."""
    check_finite(estimates, "the estimate")
    check_finite(sources, "the source")
    best = assigned(estimates, psnr(estimates[:, :, None], sources[:, None]))
    return {"psnr": psnr(best, sources), "ssim": ssim(best, sources, size)}


def sound_order(estimates: Tensor, sources: Tensor) -> Tensor:
    """Of estimates (B, M, T) the ones for sources (B, K, T), by the highest SI-SDR: (B, K, T)."""
    columns = [si_sdr(estimate=estimates, reference=one.expand_as(estimates)) for one in sources.split(1, dim=1)]
    return assigned(estimates, torch.stack(columns, dim=2))


def sound_scores(estimates: Tensor, sources: Tensor) -> dict[str, Tensor]:
    """SI-SDR, SI-SIR and SI-SAR (dB) of every source, (B, K) each, of estimates (B, M, T) assigned by SI-SDR."""
    found = bss_eval(estimate=sound_order(estimates, sources), reference=sources)
    return {"si_sdr": found.si_sdr, "si_sir": found.si_sir, "si_sar": found.si_sar}


def active_slots(estimates: Tensor) -> Tensor:
    """How many of the estimates (B, M, T) of each mix sound and hold `ACTIVE` or more of the energy of all: (B,)."""
    energy = estimates.double().square().sum(dim=2)
    return ((energy > 0) & (energy >= ACTIVE * energy.sum(dim=1, keepdim=True))).sum(dim=1)
