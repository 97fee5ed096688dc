"""Options that several commands share. What they may be is looked up when a command is asked for its help.

So `srcsep --help` does not pay for torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click


class Choice(click.Option):
    """An option whose help lists the `names` that there are in place of {}."""

    def __init__(self, *declarations: Any, names: Callable[[], Iterable[str]], **attributes: Any) -> None:
        super().__init__(*declarations, **attributes)
        self.names = names

    def get_help_record(self, context: click.Context) -> tuple[str, str] | None:
        """The option and its help, the names filled in."""
        template = self.help or ""
        self.help = template.replace("{}", ", ".join(self.names()))
        try:
            return super().get_help_record(context)
        finally:
            self.help = template


def profiles() -> Iterable[str]:
    """The names of the profiles."""
    from srcsep_core.run.profiles import PROFILES

    return PROFILES


def variants() -> Iterable[str]:
    """The variants of all worlds."""
    from srcsep_core.data.base import variants_of

    return variants_of()


def sources() -> Iterable[str]:
    """The sources of every world, each once."""
    from srcsep_core.data.base import variants_of, world_of

    return dict.fromkeys(source for variant in variants_of() for source in world_of(variant).sources)


def objectives() -> Iterable[str]:
    """What priors are trained for."""
    from srcsep_core.training.config import OBJECTIVES

    return OBJECTIVES


def models() -> Iterable[str]:
    """The kinds of prior."""
    from srcsep_core.priors.kinds import all_kinds

    return all_kinds()


def methods() -> Iterable[str]:
    """The methods that a file can be separated with."""
    from srcsep_core.separate.separators import method_names

    return method_names()


def samplers() -> Iterable[str]:
    """The samplers that a file can be separated with."""
    from srcsep_core.separate.separators import sampler_names

    return sampler_names()


def priors() -> Iterable[str]:
    """The priors that a file can be separated with."""
    from srcsep_core.separate.separators import prior_names

    return prior_names()


profile_option = click.option(
    "-p", "--profile", cls=Choice, names=profiles, default="laptop", show_default=True, help="One of {}."
)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
train_option = click.option("--train", is_flag=True, help="Train priors that are not there, which can take hours.")


def variant_option(default: str) -> Callable[[Any], Any]:
    """The option for the variant of a world."""
    return click.option(
        "--variant",
        cls=Choice,
        names=variants,
        default=default,
        show_default=True,
        help="Variant of a world: one of {}.",
    )
