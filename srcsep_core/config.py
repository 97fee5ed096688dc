"""Configurations as plain data.

A configuration is a frozen dataclass and complete: two equal ones give the same artefact, whatever the defaults become
later. `resolved` turns one into the plain data that content keys hash.
"""

from __future__ import annotations

import dataclasses
from typing import Any


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
