"""Old names are answered with the new ones."""

import pytest

from srcsep_core.config import check_choice
from srcsep_core.errors import InputError
from srcsep_core.former import FORMER


@pytest.mark.parametrize(
    ("what", "value", "choices", "message"),
    [
        ("variant", "paper", ["uniform_hz"], "unknown variant 'paper'; it is now called uniform_hz"),
        ("toy variant", "paper", ["uniform_hz"], "unknown toy variant 'paper'; it is now called uniform_hz"),
        (
            "sampler",
            "langevin-released",
            ["a"],
            "unknown sampler 'langevin-released'; it is now called langevin-unconstrained",
        ),
        ("variant", "papers", ["a", "b"], "unknown variant 'papers'; use one of a, b"),
        ("colour", "score", ["red"], "unknown colour 'score'; use one of red"),
    ],
)
def test_an_old_name_is_answered_with_the_new_one_and_any_other_with_what_there_is(
    what: str, value: str, choices: list[str], message: str
) -> None:
    check_choice(what, choices[0], choices)
    with pytest.raises(InputError) as found:
        check_choice(what, value, choices)
    assert str(found.value) == message


@pytest.mark.parametrize("names", FORMER.values())
def test_no_name_is_both_old_and_new(names: dict[str, str]) -> None:
    assert not set(names) & set(names.values())
