"""What speaks for or against the separation of a window, from its estimates alone: no truth is needed.

Every estimate is noised and denoised again, by the prior of its own class and by those of the others (the denoising
loss of Karras et al. 2022, arXiv 2206.00364, Eq. 2, at a few levels). A source comes back nearly as it was under its
own class; a mixture of two, noise or a voice does not, and a saw comes back better under saw than under triangle.
Beside it: what the estimates leave of the mix, whether neighbouring windows and other chains say the same, and the
loudness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.samplers.asking import denoise_each, denoise_rows
from srcsep_core.samplers.base import rms
from srcsep_core.separate.windows import class_orders

LEVELS = (0.1, 0.3)  # of the noise that estimates are judged under
RIVAL = 0.3  # root mean square by which another chain says something else
FEATURES = ("residual_db", "doubt_db", "error", "error_wide", "margin", "loudness_db", "disagreement", "rival")
LEAST_DB, MOST, MOST_SCALED = -60.0, 2.0, 10.0


def window_evidence(
    kept: Tensor,
    total: Tensor,
    disagreement: Tensor,
    rival: Tensor,
    names: Sequence[str],
    priors: Mapping[str, DenoisingPrior] | None,
    typical_rms: Mapping[str, float],
    generator: torch.Generator,
) -> pd.DataFrame:
    """The evidence on N windows, one row each: `FEATURES`, and for people `worst` and `better`.

    kept (N, K, W): the estimates, at amplitudes of about 0.9; total (N, W): their sum as it was heard; disagreement
    (N,) with neighbours and rival (N,), see `rivals`. In the table:

    - residual_db: what the estimates leave of the sum; doubt_db: what they leave after noise of 0.1 and denoising;
      for this, and what follows, every estimate is first taken to the typical level of the class (by at most 20 dB);
    - error, error_wide: log10 of the denoising error in units of the noise, at 0.1 and 0.3, of the worst source;
    - margin: log10 of the denoising error under the own class over that under the best other, of the worst source;
    - loudness_db: how far the level of a source is from its typical one, at most;
    - worst: the number of the source with the largest margin; better: the class that denoises it best, if another.

    Without priors, what needs them is NaN.
    """
    loud = rms(total).clamp_min(1e-9)
    typical = torch.tensor([typical_rms[name] for name in names]).to(kept)
    loudness = 20 * (rms(kept).clamp_min(1e-6) / typical).log10().abs()
    table = {
        "residual_db": _decibel(rms(total - kept.sum(dim=1)) / loud),
        "loudness_db": loudness.amax(dim=1),
        "disagreement": disagreement,
        "rival": rival,
    }
    if priors is None:
        table |= dict.fromkeys(
            ("doubt_db", "error", "error_wide", "margin", "worst"), torch.full_like(rival, torch.nan)
        )
        return _frame(table).assign(better="")
    classes = list(priors)
    own = torch.tensor([classes.index(name) for name in names]).to(kept.device)
    count, sources, window = kept.shape
    low, wide = LEVELS
    noise = [torch.randn(kept.shape, generator=generator, device=generator.device).to(kept) for _ in LEVELS]
    usual = torch.tensor([typical_rms[name] for name in classes]).to(kept)
    scale = (usual / rms(kept).clamp_min(1e-6)[..., None]).clamp(1 / MOST_SCALED, MOST_SCALED)[
        ..., None
    ]  # (N, K, C, 1)
    unit = scale * kept[:, :, None]
    which = torch.arange(len(classes), device=kept.device).repeat(count * sources)
    noisy = (unit + low * noise[0][:, :, None]).reshape(-1, 1, window)
    every = denoise_rows(list(priors.values()), which, noisy, low).view_as(unit)
    by_class = rms(every - unit) / low
    place = torch.arange(sources), own
    error, scale, unit, clean = by_class[:, *place], scale[:, *place], unit[:, *place], every[:, *place]
    wider = denoise_each([priors[name] for name in names], unit + wide * noise[1], wide)
    others = by_class.scatter(2, own.expand(count, sources)[..., None], torch.inf)
    margin = (error / others.amin(dim=2)).clamp(1e-4, 1e4).log10()
    worst = margin.argmax(dim=1)
    best = others.argmin(dim=2)[torch.arange(count), worst]
    table |= {
        "doubt_db": _decibel(rms(total - (clean / scale).sum(dim=1)) / loud),
        "error": error.amax(dim=1).clamp_min(1e-4).log10(),
        "error_wide": (rms(wider - unit) / wide).amax(dim=1).clamp_min(1e-4).log10(),
        "margin": margin.amax(dim=1),
        "worst": worst,
    }
    found = _frame(table)
    better = [classes[int(k)] for k in best]
    return found.assign(better=[name if gain > 0 else "" for name, gain in zip(better, found["margin"], strict=True)])


def _frame(table: Mapping[str, Tensor]) -> pd.DataFrame:
    return pd.DataFrame({name: table[name].cpu().numpy() for name in (*FEATURES, "worst")})


def rivals(candidates: Tensor, doubts: Tensor, kept: Tensor, chosen: Tensor, names: Sequence[str]) -> Tensor:
    """How much worse the best chain is that says something else: log10 of its doubt over that of the chosen one, (N,).

    candidates (N, C, K, W), doubts (N, C), infinite where there is none; kept (N, K, W) and chosen (N,): what was taken
    of them. A chain says something else if a source differs by 0.3 or more (root mean square) in every order of the
    sources that keeps the classes. Without such a chain it is 2, the most there is.
    """
    orders = class_orders(names)
    gaps = torch.stack([rms(candidates[:, :, order] - kept[:, None]).amax(dim=2) for order in orders], dim=2).amin(
        dim=2
    )
    own = doubts[torch.arange(len(doubts)), chosen]
    other = doubts.masked_fill(gaps < RIVAL, torch.inf).amin(dim=1)
    return (other / own.clamp_min(1e-9)).log10().clamp(-MOST, MOST)


def neighbours(disagreement: Tensor) -> Tensor:
    """The larger disagreement of every window with the one before and the one after: (N - 1, K) to (N,)."""
    padded = torch.nn.functional.pad(disagreement.amax(dim=1), (1, 1))
    return torch.maximum(padded[1:], padded[:-1])


def _decibel(ratio: Tensor) -> Tensor:
    return 20 * ratio.clamp_min(10 ** (LEAST_DB / 20)).log10()
