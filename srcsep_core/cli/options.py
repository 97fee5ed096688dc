"""Options that several commands share. What they may be is looked up when a command is asked for its help.

So `srcsep --help` does not pay for torch.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import click


class Choice(click.Option):
    """An option whose help lists the `names` that there are in place of {}.

    `names` says where to look: a module and, after a colon, what in it has them or finds them.
    """

    def __init__(self, *declarations: Any, names: str, **attributes: Any) -> None:
        super().__init__(*declarations, **attributes)
        self.names = names

    def get_help_record(self, context: click.Context) -> tuple[str, str] | None:
        """The option and its help, the names filled in."""
        template, (module, _, attribute) = self.help or "", self.names.partition(":")
        found = getattr(import_module(module), attribute)
        self.help = template.replace("{}", ", ".join(found() if callable(found) else found))
        try:
            return super().get_help_record(context)
        finally:
            self.help = template


PROFILES = "srcsep_core.run.profiles:PROFILES"
VARIANTS = "srcsep_core.data.base:variants_of"
WORLDS = "srcsep_core.data.base:worlds_of"
SOURCES = "srcsep_core.data.base:all_sources"
MODELS = "srcsep_core.priors.kinds:all_kinds"
OBJECTIVES = "srcsep_core.priors.kinds:all_objectives"
METHODS = "srcsep_core.separate.separators:method_names"
SAMPLERS = "srcsep_core.separate.separators:sampler_names"
PRIORS = "srcsep_core.separate.separators:prior_names"

profile_option = click.option(
    "-p", "--profile", cls=Choice, names=PROFILES, default="laptop", show_default=True, help="One of {}."
)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
train_option = click.option("--train", is_flag=True, help="Train priors that are not there, which can take hours.")


def variant_option(default: str | None) -> Callable[[Any], Any]:
    """The option for the variant of a world."""
    return click.option(
        "--variant",
        cls=Choice,
        names=VARIANTS,
        default=default,
        show_default=default is not None,
        help="Variant of a world: one of {}.",
    )
