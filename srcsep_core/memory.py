"""Memory that is free, but not the system's."""

from __future__ import annotations

import ctypes


def give_back() -> bool:
    """Give memory that the C library keeps for later use back to the system; returns whether it knows how.

    glibc keeps what is freed below anything that is still held, in a heap for each thread: work that is done over and
    over can take more and more although little is held. Other C libraries are left alone.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return False
    trim(0)
    return True
