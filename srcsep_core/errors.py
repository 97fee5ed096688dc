"""Errors that a user can mend: one sentence with the value found and the remedy."""

from __future__ import annotations


class InputError(ValueError):
    """A value handed in by the user cannot be used; the message names it and says what to do."""


class DivergenceError(RuntimeError):
    """Training or sampling stopped because its numbers left the finite ones."""


class StoreError(RuntimeError):
    """The artefact store cannot be read or written."""
