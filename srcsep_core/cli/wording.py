"""What the core's messages call an argument, and what it is called on the command line."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from srcsep_core.errors import InputError

# Python, as a pattern, to the option.
OPTIONS = {
    r"allow_clipped=True": "--allow-clipped",
    r"gain=None": "--gain auto",
    r"levels='auto'": "--levels auto",
    r"\bmax_chains\b": "--max-chains",
    r"mono\(samples\)": "--mono",
    r"mono=True": "--mono",
    r"overwrite=True": "--overwrite",
    r"remove_dc=True": "--remove-dc",
    r"resample\(samples, from_rate=\d+, to_rate=\d+\)": "--resample",
    r"stereo='each'": "--stereo each",
    r"stereo='mean'": "--stereo mean",
    r"train=True": "--train",
}


def with_options(text: str) -> str:
    """A message with options in place of arguments."""
    for argument, option in OPTIONS.items():
        text = re.sub(argument, option, text)
    return text


@contextmanager
def options_named() -> Iterator[None]:
    """Errors that come up inside, and what is logged there, name options."""
    handlers = list(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(_name_options)
    try:
        yield
    except InputError as error:
        raise InputError(with_options(str(error))) from error
    finally:
        for handler in handlers:
            handler.removeFilter(_name_options)


def _name_options(record: logging.LogRecord) -> bool:
    record.msg, record.args = with_options(record.getMessage()), ()
    return True
