"""What registers itself from its own file: kinds of prior, methods of separation, worlds."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Generic, TypeVar

from srcsep_core.errors import InputError

T = TypeVar("T")


def import_files(package: str) -> None:
    """Import every file of a folder of the core, so that what is in them has registered itself."""
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")


class Registry(dict[str, T], Generic[T]):
    """Things of one sort by name: those of the files of `package`, and what others add. `what`: the sort, in words."""

    def __init__(self, what: str, package: str) -> None:
        super().__init__()
        self.what, self.package = what, package

    def add(self, name: str, one: T) -> T:
        """Make it known; raises `InputError` if another one has the name."""
        if self.setdefault(name, one) is not one:
            raise InputError(f"there is a {self.what} called {name!r} already; choose another name")
        return one

    def all(self) -> dict[str, T]:
        """All of them, in alphabetical order."""
        import_files(self.package)
        return dict(sorted(self.items()))
