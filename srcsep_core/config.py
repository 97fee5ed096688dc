"""Configurations as plain data.

A configuration is a frozen dataclass and complete: two equal ones give the same artefact, whatever the defaults become
later. `resolved` turns one into the plain data that content keys hash; `check_least`, `check_positive` and
`check_choice` say what a senseless value should be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from srcsep_core.errors import InputError
from srcsep_core.former import FORMER


def check_least(config: Any, least: int, *names: str) -> None:
    """Raise `InputError` for a field among `names` that is below `least`."""
    for name in names:
        value = getattr(config, name)
        if value < least:
            remedy = f"at least {least}" if least else "0 or more"
            raise InputError(f"{type(config).__name__}.{name} is {value}; use {remedy}")


def check_positive(config: Any, *names: str) -> None:
    """Raise `InputError` for a field among `names` that is not above 0."""
    for name in names:
        value = getattr(config, name)
        if not value > 0:
            raise InputError(f"{type(config).__name__}.{name} is {value}; use a number above 0")


def check_choice(what: str, value: str, choices: Iterable[str]) -> None:
    """Raise `InputError` unless `value` is one of the `choices` of what it is called.

    An old name is answered with the new one, if `what` (its last word) is a category of `FORMER`.
    """
    if value not in (known := list(choices)):
        now = FORMER.get(what.split()[-1], {}).get(value)
        remedy = f"it is now called {now}" if now else f"use one of {', '.join(known)}"
        raise InputError(f"unknown {what} {value!r}; {remedy}")


def resolved(config: Any) -> Any:
    """Plain JSON data of a (nested) configuration, every field written out."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {field.name: _resolved_field(config, field) for field in dataclasses.fields(config)}
    if isinstance(config, dict):
        return {str(key): resolved(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [resolved(value) for value in config]
    return config


def _resolved_field(config: Any, field: dataclasses.Field[Any]) -> Any:
    """A field's plain data, with 10 written for a float field as 10.0, so that equal configurations hash alike."""
    value = resolved(getattr(config, field.name))
    if "float" not in str(field.type):
        return value
    if isinstance(value, list):
        return [float(item) for item in value]
    return value if value is None else float(value)
