"""Windows are separated alike by any number of workers, and what time does not allow is the mix itself."""

import time
from dataclasses import dataclass, field
from threading import current_thread

import pytest
import torch
from codebook import codebook_priors, codebook_wave
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.samplers import GibbsConfig, gibbs
from srcsep_core.samplers.base import Callback, Separation, State, without_chains
from srcsep_core.samplers.separator import PriorSeparator
from srcsep_core.separate.crew import Clock, Crew

CPU = torch.device("cpu")
NAMES = ("sine", "square")


def mixes(count: int) -> Tensor:
    """(count, 64) of a sine and a square."""
    rows = [(codebook_wave("sine", 8 + n % 5, 64) + codebook_wave("square", 14 + n % 3, 64)) / 2 for n in range(count)]
    return torch.stack(rows)


def separator(levels: int = 4) -> PriorSeparator:
    return PriorSeparator(gibbs, GibbsConfig(levels=levels, max_chains=2, accept=0.0), codebook_priors().by_source)


@dataclass
class Slow:
    """Takes `seconds` a step and `steps` steps; notes which threads it ran in, and how many torch gave it."""

    seconds: float = 0.0
    steps: int = 3
    error: Exception | None = None
    seen: list[tuple[str, int, int]] = field(default_factory=list)

    def separate(
        self, mix: Tensor, sources: object, generator: torch.Generator, callback: Callback | None = None
    ) -> Separation:
        self.seen.append((current_thread().name, torch.get_num_threads(), len(mix)))
        for step in range(self.steps):
            time.sleep(self.seconds)
            if self.error is not None:
                raise self.error
            assert callback is not None
            callback(State(step, self.steps, 1.0, mix))
        return without_chains(mix.expand(-1, 2, -1).clone())


def test_number_of_workers_changes_nothing() -> None:
    found = [Crew(CPU, 3, workers=count).separate(mixes(11), NAMES, separator(), "") for count in (1, 3)]
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])
    assert found[0][0].shape == (11, 2, 2, 64) and found[0][1].shape == (11, 2)


def test_every_call_and_every_batch_has_random_numbers_of_its_own() -> None:
    crew = Crew(CPU, 3)
    same = mixes(1).expand(16, -1)
    first, again = (crew.separate(same, NAMES, separator(), "")[0] for _ in range(2))
    assert not torch.equal(first, again) and not torch.equal(first[:8], first[8:])


def test_workers_have_one_thread_and_batches_of_nearly_one_size() -> None:
    slow = Slow(seconds=0.02)
    Crew(CPU, 0, workers=2).separate(mixes(37), NAMES, slow, "")
    threads, counts, sizes = zip(*slow.seen, strict=True)
    assert len(set(threads)) == 2 and set(counts) == {1}
    assert sorted(sizes) == [9, 9, 9, 10]


def test_chains_of_a_window_run_side_by_side_and_are_told_apart() -> None:
    waves = [
        (codebook_wave("sine", one, 64) + codebook_wave("square", other, 64)) / 2 for one, other in ((7, 13), (10, 18))
    ]
    heard = torch.stack(waves)
    chains = separator(levels=12).single()
    candidates, doubts = Crew(CPU, 0).separate(heard, NAMES, chains, "", times=4)
    assert candidates.shape == (2, 4, 2, 64) and doubts.shape == (2, 4)
    best = candidates[torch.arange(2), doubts.argmin(dim=1)].mean(dim=1)
    torch.testing.assert_close(best, heard, rtol=0, atol=1e-3)


def test_one_chain_of_a_window_may_diverge_but_not_all() -> None:
    @dataclass
    class Diverging:
        lost: int

        def separate(self, mix: Tensor, *_: object) -> Separation:
            found = mix.expand(-1, 2, -1).clone()
            found[: self.lost] = torch.nan
            return without_chains(found)

    doubts = Crew(CPU, 0, workers=1).separate(mixes(1), NAMES, Diverging(1), "", times=4)[1]
    assert doubts.isfinite().sum() == 2, "two batches of two, one chain lost in each"
    with pytest.raises(InputError, match="every chain diverged in 1 of 1 windows"):
        Crew(CPU, 0, workers=1).separate(mixes(1), NAMES, Diverging(2), "", times=4, first=True)
    later = Crew(CPU, 0, workers=1).separate(mixes(1), NAMES, Diverging(2), "", times=4)[1]
    assert not later.isfinite().any(), "there are chains from before"


def test_a_share_of_a_clock_is_of_what_is_left_and_stops_with_it() -> None:
    whole = Clock(100.0, started=time.monotonic() - 40)
    part = whole.share(3)
    assert part.budget_s == pytest.approx(20, abs=0.5) and not part.over
    whole.stop()
    assert part.over and not part.stopped
    assert Clock().share(2).budget_s is None and Clock(1.0, started=time.monotonic() - 9).share(2).over


def test_time_that_is_up_leaves_the_mix_with_an_infinite_doubt() -> None:
    crew = Crew(CPU, 0, Clock(0.15), workers=1)
    began = time.monotonic()
    candidates, doubts = crew.separate(mixes(64), NAMES, Slow(seconds=0.03), "")
    assert time.monotonic() - began < 1
    reached = doubts.isfinite()[:, 0]
    assert 0 < int(reached.sum()) < 64
    torch.testing.assert_close(candidates[~reached, 0], mixes(64)[~reached, None].expand(-1, 2, -1))


def test_error_of_a_worker_ends_the_others_and_is_raised() -> None:
    crew = Crew(CPU, 0, workers=2)
    with pytest.raises(InputError, match="no such thing"):
        crew.separate(mixes(32), NAMES, Slow(error=InputError("no such thing")), "")
    assert crew.clock.over
