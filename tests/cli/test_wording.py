"""Python messages speak of arguments, and those of commands of options."""

import ast
import re
from pathlib import Path

import click
import pytest
import torch

from srcsep_core.audio import check_signal
from srcsep_core.cli import main
from srcsep_core.cli.wording import OPTIONS, options_named
from srcsep_core.errors import InputError

CORE = Path(__file__).resolve().parents[2] / "srcsep_core"


def options_of(command: click.Command) -> set[str]:
    """The options of a command and of those below it."""
    below = command.commands.values() if isinstance(command, click.Group) else ()
    own = {name for parameter in command.params for name in parameter.opts}
    return own.union(*(options_of(one) for one in below))


def test_every_option_that_messages_name_is_there() -> None:
    assert {option.split()[0] for option in OPTIONS.values()} <= options_of(main)


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(CORE)))
def test_no_message_of_the_core_names_an_option(path: Path) -> None:
    """But in a command, which stands in backticks."""
    if path.parent.name == "cli":
        return
    raised = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Raise)]
    texts = [part.value for node in raised for part in ast.walk(node) if isinstance(part, ast.Constant)]
    assert not [text for text in texts if re.search(r"(^|\s)--\w", re.sub("`[^`]*`", "", str(text)))]


@pytest.mark.parametrize(
    ("facts", "python", "option"),
    [
        ({}, r"average them with mono\(samples\)", "average them with --mono"),
        (
            {"channels": None, "expected_rate": 14_700},
            r"resample it with resample\(samples, from_rate=16000, to_rate=14700\)",
            "resample it with --resample",
        ),
    ],
)
def test_a_signal_is_refused_in_either_words(facts: dict[str, int | None], python: str, option: str) -> None:
    stereo = torch.ones(2, 10)
    with pytest.raises(InputError, match=python):
        check_signal(stereo, 16_000, **facts)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=f"{option}$"), options_named():
        check_signal(stereo, 16_000, **facts)  # type: ignore[arg-type]
