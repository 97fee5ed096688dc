"""One channel at the separator's rate: its gain, the candidates for its windows, and the windows that are tried again.

Every window gets one chain. Where its doubt is large, or the joined sources disagree in what two windows share, the
windows concerned get more chains, all of which become candidates, and the windows are joined anew: until nothing is
doubtful, the doubtful windows have had their chains, or the time is up. What speaks for and against the result is
collected beside it (`judging`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.baselines.base import Separator
from srcsep_core.config import check_least, check_positive
from srcsep_core.errors import InputError
from srcsep_core.samplers.base import rms
from srcsep_core.samplers.separator import PriorSeparator
from srcsep_core.separate.crew import Crew
from srcsep_core.separate.evidence import MOST, neighbours, rivals
from srcsep_core.separate.judging import Judge
from srcsep_core.separate.separators import SourcePriors, Windows
from srcsep_core.separate.windows import JoinConfig, Joined, cut, join, sounding, window_starts

AMPLITUDE = 0.9  # that a peak is taken to
GAIN_MARGIN_DB = 3.0
UNSTEADY_CHAINS = 1  # a window, of sources of any level: their doubt is large wherever they sound together
FEW = 4  # windows: with less there are no neighbours to tell, and every window gets a second chain at once


@dataclass(frozen=True)
class SearchConfig:
    """How windows are cut, searched and joined.

    `overlap` samples are shared by neighbours (None: a quarter of a window); `batch` windows are separated at once on a
    GPU. A window gets one chain, and up to `more` at a time until it has `max_chains`, while its doubt is above
    `accept` of the mix (root mean squares) or it differs by more than `threshold` (root mean square, sources at
    amplitude about 0.9) from a neighbour that is no more doubtful by itself; unless all its chains, two or more, say
    the same: then others would as well. It ends as well when `patience` chains in a row have left as many windows
    in doubt as before, `least` of them in each: with wrong classes all of them are, and stay so. The gain is tried on
    `gain_windows` windows. `budget_s`: seconds after which the best found so far is taken (None: no limit); `workers`:
    see `crew.Crew`.
    """

    overlap: int | None = None
    batch: int = 64
    threshold: float = 0.2
    accept: float = 0.04
    max_chains: int = 9
    more: int = 2
    patience: int = 16
    least: int = 3
    gain_windows: int = 3
    budget_s: float | None = None
    workers: int = 0
    join: JoinConfig = field(default_factory=JoinConfig)

    def __post_init__(self) -> None:
        check_least(self, 1, "batch", "max_chains", "more", "patience", "least", "gain_windows")
        check_least(self, 0, "accept", "workers")
        check_positive(self, "threshold")
        if self.budget_s is not None and not 0 < self.budget_s < math.inf:
            raise InputError(f"the budget is {self.budget_s:g} s; use a number above 0, or leave it out")


@dataclass(frozen=True)
class Found:
    """What `Search.run` finds: signals (K, T) whose mean is about `gain` times the channel, and facts to report.

    `evidence` has a row for every window that is not silent: see `evidence.window_evidence`; also start_s, end_s.
    """

    signals: Tensor
    gain: float
    report: dict[str, Any]
    evidence: pd.DataFrame

    @property
    def chains_run(self) -> int:
        """How many chains the windows had, all together."""
        return sum(int(window["chains_run"]) for window in self.report["windows"])


@dataclass(frozen=True)
class _Few:
    """A few windows (N, W) at the best `gain`, with their candidates and doubts; `levels`: the doubt (dB) by gain."""

    gain: float
    levels: dict[float, float]
    mixes: Tensor
    candidates: Tensor
    doubts: Tensor


@dataclass(frozen=True)
class Search:
    """Separates channels with one separator; only a sampler has chains, to try again with.

    The evidence is asked of the `judges`, priors of all classes of the world. With `estimate`, the chains that doubtful
    windows get find the sources' levels as well, as long as that leaves less doubt. Sources of equal level are found
    more surely by a sampler that takes them to be so.
    """

    separator: Separator
    heard: Windows
    sources: Sequence[str]
    config: SearchConfig
    crew: Crew
    judges: SourcePriors | None = None
    estimate: bool = False

    @property
    def _judge(self) -> Judge:
        return Judge(self.sources, self.heard, self.judges, self.crew)

    def run(self, channel: Tensor, gain: float | None = None) -> Found:
        """Separate a channel (T,) at the rate heard; without a `gain` one is found, with chains by trying."""
        window = self.heard.window or len(channel)
        overlap = self.config.overlap or window // 4
        chains = self.separator if isinstance(self.separator, PriorSeparator) else None
        starts = window_starts(len(channel), window, overlap)
        cuts = cut(channel, starts, window)
        active = sounding(cuts, channel)
        tried: dict[float, float] = {}
        if gain is None:
            few = self._try_gains(cuts[active], chains if self.heard.steady else None)
            gain, tried = few.gain, few.levels
        mixes = gain * cuts
        first = 2 if len(starts) < FEW else 1
        separator, count = (chains.single(), min(first, self.config.max_chains)) if chains else (self.separator, 1)
        candidates, doubts = self._silence(mixes, active)
        found = self.crew.separate(mixes[active], self.sources, separator, "separating", count, first=True)
        candidates, doubts = _append(candidates, doubts, active, *found)
        again, estimated, count, idle = list[int](), list[bool](), 0, 0
        while True:
            usable = _usable(doubts, mixes)
            joined = join(candidates, usable, starts, self.sources, self.config.join)
            chosen = candidates[torch.arange(len(mixes)), joined.chosen]
            rival = rivals(candidates, usable, chosen, joined.chosen, self.sources)
            had = doubts[:, 1:].isfinite().sum(dim=1)
            doubtful = self._doubtful(joined, usable, mixes, rival, had) & active & (had < self.config.max_chains)
            left = int(doubtful.sum())
            idle = idle + count if again and left >= again[-1] else 0
            cut_short = chains is not None and left > 0 and self.crew.clock.over
            if chains is None or cut_short or not left or self._hopeless(idle, left):
                break
            again.append(left)
            count = int(torch.minimum(had, self.config.max_chains - had)[doubtful].min().clamp(1, self.config.more))
            better = _estimated_are_better(usable[doubtful], estimated) if estimated else self.estimate
            more = (chains.estimating() if better else chains).single()
            estimated += [better] * count
            found = self.crew.separate(mixes[doubtful], self.sources, more, f"again, round {len(again)}", count)
            candidates, doubts = _append(candidates, doubts, doubtful, *found)
        report = {
            "gain": gain,
            "gains_tried": [
                {"gain": one, "doubt_db": tried[one]} for one in sorted(tried) if math.isfinite(tried[one])
            ],
            "rounds": len(again),
            "windows_again": again,
            "cut_short": cut_short,
            "windows_late": int((~doubts.isfinite().any(dim=1)).sum()),
            "windows": self._windows(joined, mixes, doubts, starts, active),
        }
        if chains is None:
            evidence = self._judge.whole(joined.signals, gain * channel)
        else:
            kept = chosen[torch.arange(len(mixes))[:, None], joined.orders]
            evidence = self._judge.windows(kept, mixes, neighbours(joined.disagreement), rival, active, starts)
        return Found(joined.signals.float(), gain, report, evidence)

    def try_few(self, channel: Tensor, gain: float | None = None) -> tuple[float, pd.DataFrame]:
        """The gain of a channel (T,), and the evidence on the few windows that it was tried on, each on its own.

        Without a `gain` the best is found.
        """
        assert isinstance(self.separator, PriorSeparator)
        window = self.heard.window or len(channel)
        cuts = cut(channel, window_starts(len(channel), window, self.config.overlap or window // 4), window)
        active = cuts[sounding(cuts, channel)]
        if not self.heard.steady:
            gain = gain or self._expected(active)
        few = self._try_gains(active, self.separator, gain)
        apart, best = torch.zeros(len(few.mixes)), few.doubts.argmin(dim=1)
        kept = few.candidates[torch.arange(len(best)), best]
        return few.gain, self._judge.ask(kept, few.mixes, apart, torch.full_like(apart, MOST))

    def _try_gains(self, cuts: Tensor, chains: PriorSeparator | None, given: float | None = None) -> _Few:
        """The gain that leaves about the lowest doubt of a few windows (N, W), and the doubts (dB) of all tried.

        Tried are, the likelier first: 1 and 1 / K, as the file may be a mean or a sum just so; what takes the peak to
        0.9; what takes the root mean square of the windows to that of a mix of sources of amplitude 0.9; and 15 %
        less and more. The first within 3 dB of the lowest doubt is taken, for that floor falls as the gain grows.
        Without chains, or with sources of any level, it is that of the root mean square. Only a gain that is `given` is
        tried, if one is.
        """
        count, expected = len(self.sources), self._expected(cuts)
        if chains is None:
            return _Few(expected, {}, cuts[:0], cuts[:0], cuts[:0])
        near = [gain for gain in (1.0, 1 / count, AMPLITUDE / float(cuts.abs().max())) if 0.7 < gain / expected < 1.4]
        gains: list[float] = []
        for gain in (given,) if given else (*near, expected, 0.85 * expected, 1.15 * expected):
            if all(abs(math.log(gain / other)) > 0.03 for other in gains):
                gains.append(gain)
        some = torch.linspace(0, len(cuts) - 1, min(self.config.gain_windows, len(cuts))).round().long()
        mixes = torch.cat([gain * cuts[some] for gain in gains])
        candidates, doubts = self.crew.separate(mixes, self.sources, chains.coarse(), "finding the gain")
        relative = (doubts.amin(dim=1) / rms(mixes)).view(len(gains), -1).median(dim=1).values
        levels = [20 * math.log10(max(float(value), 1e-10)) for value in relative]
        chosen = next(gain for gain, level in zip(gains, levels, strict=True) if level <= min(levels) + GAIN_MARGIN_DB)
        at = slice(gains.index(chosen) * len(some), (gains.index(chosen) + 1) * len(some))
        return _Few(chosen, dict(zip(gains, levels, strict=True)), mixes[at], candidates[at], doubts[at])

    def _expected(self, cuts: Tensor) -> float:
        """The gain that makes windows (N, W) as loud as the mean of sources that are as loud as is typical."""
        return expected_gain(self.heard, self.sources, float(rms(cuts.flatten())))

    def _silence(self, mixes: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """The one candidate (N, 1, K, W) of silent windows, silence; other windows do not have it."""
        candidates = mixes.new_zeros(len(mixes), 1, len(self.sources), mixes.shape[1])
        doubts = torch.where(active, torch.inf, rms(mixes))
        return candidates, doubts[:, None]

    def _doubtful(self, joined: Joined, doubts: Tensor, mixes: Tensor, rival: Tensor, had: Tensor) -> Tensor:
        """The windows to try again after `had` chains, (N,): see `SearchConfig`."""
        own = doubts[torch.arange(len(mixes)), joined.chosen] > self.config.accept * rms(mixes)
        differ = joined.disagreement.amax(dim=1) > self.config.threshold
        fine = ~own[:-1] & ~own[1:]  # neither is doubtful by itself: either may be wrong
        both = torch.nn.functional.pad(differ & fine, (1, 1))
        agreed = (rival >= MOST) & (had > 1)
        return (own | both[1:] | both[:-1]) & ~agreed

    def _hopeless(self, idle: int, left: int) -> bool:
        """Whether `idle` chains, in each of the windows `left` in doubt, are enough to have helped none."""
        return idle >= self.config.least and idle * left >= self.config.patience

    def _windows(
        self, joined: Joined, mixes: Tensor, doubts: Tensor, starts: Sequence[int], active: Tensor
    ) -> list[dict[str, Any]]:
        """What to report of every window; `disagreement` is with the one before."""
        kept = _usable(doubts, mixes)[torch.arange(len(mixes)), joined.chosen] / rms(mixes).clamp_min(1e-12)
        gaps = [0.0, *joined.disagreement.amax(dim=1).tolist()]
        return [
            {
                "start_s": start / self.heard.sample_rate,
                "silent": not bool(active[n]),
                "doubt_db": round(20 * math.log10(max(float(kept[n]), 1e-10)), 2),
                "chains_run": int(doubts[n, 1:].isfinite().sum()),
                "disagreement": round(gaps[n], 4),
            }
            for n, start in enumerate(starts)
        ]


def expected_gain(heard: Windows, sources: Sequence[str], loudness: float) -> float:
    """The gain that makes windows of that root mean square as loud as the mean of sources that are as loud as usual."""
    level = math.sqrt(sum(heard.typical_rms[source] ** 2 for source in sources)) / len(sources)
    return level / loudness


def _append(candidates: Tensor, doubts: Tensor, rows: Tensor, new: Tensor, new_doubts: Tensor) -> tuple[Tensor, Tensor]:
    """Candidates (N, C + R, K, W) and their doubts: R new ones in the `rows` (N,), infinite in others."""
    wide = candidates.new_zeros(len(candidates), new.shape[1], *candidates.shape[2:])
    costs = doubts.new_full((len(doubts), new.shape[1]), torch.inf)
    wide[rows], costs[rows] = new.to(wide), new_doubts.to(costs)
    return torch.cat([candidates, wide], dim=1), torch.cat([doubts, costs], dim=1)


def _estimated_are_better(doubts: Tensor, estimated: Sequence[bool]) -> bool:
    """Whether chains with levels to find leave less doubt (N, C) in most windows; `estimated` is of the last chains."""
    own = torch.tensor([False] * (doubts.shape[1] - len(estimated)) + list(estimated))
    if not bool(own.any()):
        return False
    return bool((doubts[:, own].amin(dim=1) < doubts[:, ~own].amin(dim=1)).float().mean() > 0.5)


def _usable(doubts: Tensor, mixes: Tensor) -> Tensor:
    """The doubts (N, C), and where none is finite, for the time was up, that of the mix for its first chain."""
    lost = ~doubts.isfinite().any(dim=1)
    usable = doubts.clone()
    usable[lost, 1] = rms(mixes)[lost]
    return usable
