"""Labelled recordings to judge verdicts with: what they are called to hold, what they truly hold, and the references.

Sources follow the law of a world, songs those of its validation split, and what is special about a kind of case is done
to them: see `case_kinds`. `BOOKS` has what differs between the worlds that verdicts are calibrated for. Calibration and
held-out cases have seeds of their own, apart from those of training, validation and tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import torch
from torch import Tensor

from srcsep_core.config import check_choice
from srcsep_core.data.base import World
from srcsep_core.data.rendered import RenderedWorld
from srcsep_core.data.toy import ToyWorld
from srcsep_core.metrics import best_permutation, si_sdr
from srcsep_core.separate.case_kinds import KINDS, Draw

FIT_SEED, HELD_OUT_SEED = 161_803, 271_828
FLOOR_DB = -30.0  # that the worst SI-SDR is clipped to; that of a source which is not there


@dataclass(frozen=True)
class Case:
    """A recording: mix (1, T) at `sample_rate` Hz, said to be a mix of the classes `named`, in truth of `true`.

    references (K, T): the true source of every class named, silent where there is none.
    """

    kind: str
    number: int
    mix: Tensor
    sample_rate: int
    named: tuple[str, ...]
    true: tuple[str, ...]
    references: Tensor

    @property
    def answerable(self) -> bool:
        """Whether the classes named are those that are there."""
        return sorted(self.named) == sorted(self.true)


@dataclass(frozen=True)
class CaseBook:
    """What the cases of a world are like, and what is right there.

    `variant`: of the world; `kinds`: of `KINDS`, and `unfitted` those that a model is only checked on. A separation is
    right with every source above `right_db` (SI-SDR). `lengths_s`: of the cases in turn (s); `passing_s`: of a passing
    sound (s).
    """

    variant: str
    kinds: tuple[str, ...]
    right_db: float
    lengths_s: tuple[float, ...]
    passing_s: float
    unfitted: tuple[str, ...] = ()


_TOY_ALONE = ("near pitches", "stereo average", "note change")  # which ask for single waves
_SONGS_ALONE = ("unseen instruments", "real song")
BOOKS: Mapping[str, CaseBook] = {
    ToyWorld.name: CaseBook(
        "uniform_hz",
        kinds=tuple(kind for kind in KINDS if kind not in _SONGS_ALONE),
        right_db=10.0,
        lengths_s=(0.2, 0.1, 0.2, 0.4),  # four windows, two, four, eight
        passing_s=0.064,
    ),
    RenderedWorld.name: CaseBook(
        "songs_8k",
        kinds=tuple(kind for kind in KINDS if kind not in (*_TOY_ALONE, "real song")),
        right_db=5.0,
        lengths_s=(4.1, 8.2),
        passing_s=2.0,
        unfitted=("real song",),
    ),
}
"""By world: those that verdicts are calibrated for."""


def draw_case(world: World, kind: str, number: int, seed: int, seconds: float) -> Case:
    """Case `number` of a kind (`KINDS`), the same for the same arguments. Raises `InputError` for one that
    the world has not.

    The mix peaks at a level drawn from 0.1 to 0.95.
    """
    check_choice("world of cases", world.name, tuple(BOOKS))
    book = BOOKS[world.name]
    check_choice("kind of case", kind, (*book.kinds, *book.unfitted))
    digest = sha256(f"{seed} {kind} {number}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    draw = Draw(world, round(seconds * world.sample_rate), generator, book.passing_s)
    scene = KINDS[kind](draw)
    total = scene.sources.sum(dim=0)
    total = total if scene.extra is None else total + scene.extra
    level = draw.uniform(0.1, 0.95) / float(total.abs().max())
    if scene.clip is not None:
        peak = scene.clip * float(total.abs().max())
        total = total.clamp(-peak, peak)
    left = list(zip(scene.true, scene.sources, strict=True))
    references = []
    for name in scene.named:
        found = next((pair for pair in left if pair[0] == name), None)
        references.append(torch.zeros(draw.length) if found is None else found[1])
        if found is not None:
            left = [pair for pair in left if pair[1] is not found[1]]
    return Case(
        kind, number, level * total[None], world.sample_rate, scene.named, scene.true, level * torch.stack(references)
    )


def worst_by_window(case: Case, estimates: Tensor, starts: Sequence[int], window: int) -> tuple[float, list[float]]:
    """The lowest SI-SDR (dB) among the estimates (K, T) of the whole recording, and in every window.

    Sources of one class are matched over the whole recording. A class that is named and not there, or there and not
    named, makes it -30 dB, which is also the least there is.
    """
    count = len(starts)
    if not case.answerable:
        return FLOOR_DB, [FLOOR_DB] * count
    matched = estimates[None].double()
    references = case.references[None].double()
    if len(set(case.named)) < len(case.named):
        matched, _ = best_permutation(estimate=matched, reference=references, groups=case.named)

    def worst(part: slice) -> float:
        ratio = si_sdr(estimate=matched[0, :, part], reference=references[0, :, part])
        return max(FLOOR_DB, float(ratio.nan_to_num(FLOOR_DB).min()))

    return worst(slice(None)), [worst(slice(start, start + window)) for start in starts]
