"""A computation in tensors that is ended from outside."""

import itertools
import threading
from contextlib import suppress

import pytest
import torch

from srcsep_core.stopping import Stopped, StopWhen


def test_the_next_tensor_operation_stops_it_and_outside_the_block_nothing_does() -> None:
    stop = threading.Event()
    x = torch.ones(3)
    with pytest.raises(Stopped), StopWhen(stop.is_set):
        x = x + 1
        stop.set()
        x = torch.nn.functional.relu(x) + 1
    assert torch.equal(x + 1, torch.full((3,), 3.0))


@pytest.mark.parametrize("first", range(1, 7))
def test_wherever_it_is_stopped_gradients_are_as_before(first: int) -> None:
    @torch.no_grad()
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x + x

    times = itertools.count(1)
    with suppress(Stopped), StopWhen(lambda: next(times) >= first):
        twice(twice(torch.ones(3)))
    assert torch.is_grad_enabled()


def test_other_threads_go_on() -> None:
    found: list[float] = []
    with StopWhen(lambda: True):
        thread = threading.Thread(target=lambda: found.append(float(torch.ones(3).sum())))
        thread.start()
        thread.join()
    assert found == [3.0]


def test_a_computation_that_is_not_stopped_gives_what_it_gives_without() -> None:
    layer = torch.nn.Linear(4, 4)
    x = torch.linspace(0, 1, 4, requires_grad=True)
    with StopWhen(lambda: False):
        y = layer(x).square().sum()
        (inside,) = torch.autograd.grad(y, x)
    (outside,) = torch.autograd.grad(layer(x).square().sum(), x)
    assert torch.equal(inside, outside)
