"""Freed memory goes back to the system."""

import platform
import threading

import psutil
import pytest
import torch

from srcsep_core import memory


def resident_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_what_threads_have_freed_is_given_back() -> None:
    held = list[torch.Tensor]()

    def fill() -> None:  # small enough for the heap of the thread; what stays at its end keeps all before it
        rows = [torch.ones(15_000) for _ in range(4000)]
        held.append(rows.pop())

    memory.give_back()
    before = resident_mb()
    threads = [threading.Thread(target=fill) for _ in range(2)]
    for thread in threads:
        thread.start()
        thread.join()
    kept = resident_mb() - before
    assert kept > 150, "without it the memory stays"
    assert memory.give_back()
    assert resident_mb() - before < 0.3 * kept


def test_a_c_library_without_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert not memory.give_back()
