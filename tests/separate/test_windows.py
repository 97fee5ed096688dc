"""Windows cover a signal, and joining them keeps every source itself."""

from itertools import pairwise, product

import pytest
import torch

from srcsep_core.errors import InputError
from srcsep_core.separate.windows import JoinConfig, class_orders, crossfade, cut, join, window_starts

WINDOW, OVERLAP = 32, 8


def two_sines(length: int = 200) -> torch.Tensor:
    """(2, T): two sources of one class."""
    time = torch.arange(length, dtype=torch.float64)
    return torch.stack([(0.31 * time).sin(), (0.83 * time + 1).sin()])


def windows_of(signals: torch.Tensor, starts: list[int]) -> torch.Tensor:
    """(N, K, W)."""
    return torch.stack([cut(row, starts, WINDOW) for row in signals], dim=1)


@pytest.mark.parametrize("length", [32, 33, 56, 57, 80, 200, 201])
def test_windows_cover_the_signal_and_join_to_it(length: int) -> None:
    signals = two_sines(length)
    starts = window_starts(length, WINDOW, OVERLAP)
    assert starts[0] == 0 and starts[-1] == length - WINDOW
    assert all(0 < after - before <= WINDOW - OVERLAP for before, after in pairwise(starts))
    torch.testing.assert_close(crossfade(windows_of(signals, starts), starts), signals)


def test_crossfade_goes_from_one_window_to_the_next_smoothly() -> None:
    out = crossfade(torch.stack([torch.zeros(1, WINDOW), torch.ones(1, WINDOW)]), [0, WINDOW - OVERLAP])[0]
    assert (out[: WINDOW - OVERLAP] == 0).all() and (out[WINDOW:] == 1).all()
    fade = out[WINDOW - OVERLAP : WINDOW]
    assert (fade.diff() > 0).all()
    torch.testing.assert_close(fade + fade.flip(0), torch.ones(OVERLAP))


def test_orders_exchange_sources_of_one_class_only() -> None:
    assert class_orders(["sine", "saw", "sine"]).tolist() == [[0, 1, 2], [2, 1, 0]]
    assert class_orders(["sine", "saw"]).tolist() == [[0, 1]]
    assert len(class_orders(["sine"] * 4)) == 24


def test_scrambled_windows_with_wrong_candidates_are_put_right() -> None:
    signals = two_sines()
    starts = window_starts(200, WINDOW, OVERLAP)
    right = windows_of(signals, starts)
    generator = torch.Generator().manual_seed(0)
    wrong = torch.randn(right.shape, generator=generator, dtype=right.dtype)
    candidates = torch.stack([right, wrong], dim=1)
    doubts = torch.full((len(starts), 2), 0.01)
    doubts[:, 1] = 0.008  # a wrong candidate may well explain the mix better
    for n in range(1, len(starts)):
        if n % 2:
            candidates[n] = candidates[n].flip(1)
        if n % 3 == 0:
            candidates[n] = candidates[n].flip(0)
            doubts[n] = doubts[n].flip(0)
    joined = join(candidates, doubts, starts, ["sine", "sine"])
    torch.testing.assert_close(joined.signals, signals)
    assert joined.chosen.tolist() == [int(n > 0 and n % 3 == 0) for n in range(len(starts))]
    assert joined.orders.tolist() == [[1, 0] if n % 2 else [0, 1] for n in range(len(starts))]
    assert joined.disagreement.shape == (len(starts) - 1, 2)
    assert joined.disagreement.max() < 1e-6


def test_different_classes_are_never_exchanged() -> None:
    starts = window_starts(200, WINDOW, OVERLAP)
    right = windows_of(two_sines(), starts)
    right[3] = right[3].flip(0)
    joined = join(right[:, None], torch.zeros(len(starts), 1), starts, ["sine", "saw"])
    assert (joined.orders == torch.tensor([0, 1])).all()
    assert joined.disagreement[2].min() > 0.3


def test_candidate_that_was_not_run_is_never_chosen() -> None:
    starts = window_starts(200, WINDOW, OVERLAP)
    right = windows_of(two_sines(), starts)
    candidates = torch.stack([right + 5 * torch.arange(len(starts))[:, None, None] ** 2, right], dim=1)
    doubts = torch.tensor([[1.0, torch.inf]] * len(starts))
    assert (join(candidates, doubts, starts, ["sine", "sine"]).chosen == 0).all()


def test_path_is_the_cheapest_of_all() -> None:
    generator = torch.Generator().manual_seed(1)
    starts, config = [0, 24, 40], JoinConfig(doubt_std=0.7, overlap_std=0.9)
    candidates = torch.randn(3, 2, 2, WINDOW, generator=generator, dtype=torch.float64)
    doubts = torch.rand(3, 2, generator=generator, dtype=torch.float64)

    def cost(path: tuple[tuple[int, int], ...]) -> float:
        total = sum(float(doubts[n, c]) ** 2 / 0.7**2 for n, (c, _) in enumerate(path))
        kept = [candidates[n, c].flip(0) if flip else candidates[n, c] for n, (c, flip) in enumerate(path)]
        for n, shared in enumerate((8, 16)):
            total += float((kept[n][:, -shared:] - kept[n + 1][:, :shared]).square().mean()) / 0.9**2
        return total

    states = list(product(range(2), range(2)))
    best = min(product([(0, 0), (1, 0)], states, states), key=cost)
    joined = join(candidates, doubts, starts, ["saw", "saw"], config)
    assert list(zip(joined.chosen.tolist(), joined.orders[:, 0].tolist(), strict=True)) == list(best)


@pytest.mark.parametrize(
    ("call", "value", "remedy"),
    [
        (lambda: window_starts(31, 32, 8), "31 samples", "longer signal"),
        (lambda: window_starts(100, 32, 0), "overlap is 0", "1 to 16"),
        (lambda: window_starts(100, 32, 17), "overlap is 17", "1 to 16"),
        (lambda: class_orders(["sine"] * 5), "5 sources (5 sine)", "name 4 of one class"),
        (lambda: JoinConfig(overlap_std=0), "overlap_std is 0", "above 0"),
        (lambda: join(torch.zeros(2, 1, 1, 4), torch.zeros(2, 1), [0], ["saw"]), "1 starts", "pass (N,)"),
        (lambda: join(torch.zeros(1, 1, 1, 4), torch.full((1, 1), torch.inf), [0], ["saw"]), "no candidate", "run"),
    ],
)
def test_mistake_names_value_and_remedy(call: object, value: str, remedy: str) -> None:
    with pytest.raises(InputError) as caught:
        call()  # type: ignore[operator]
    assert value in str(caught.value) and remedy in str(caught.value)
