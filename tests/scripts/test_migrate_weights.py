"""Artefacts of flows that listed their blocks become those of nested flows: other names, the same values and key."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from srcsep_core.config import resolved
from srcsep_core.errors import StoreError
from srcsep_core.priors.flowavenet import FlowConfig, flowavenet
from srcsep_core.run.store import fault, seal, write_json

CONFIG = FlowConfig(blocks=3, flows=1, layers=1, width=2, split_every=2)
PAIRS = {
    "blocks.0.steps.transforms.0.shift": "transform.transforms.1.shift",
    "blocks.1.steps.transforms.1.net.out.bias": "transform.transforms.4.transforms.2.net.out.bias",
    "blocks.1.split.net.out.bias": "transform.transforms.4.transforms.4.coupling.net.out.bias",
    "blocks.2.steps.transforms.0.initialised": "transform.transforms.4.transforms.4.inner.transforms.1.initialised",
}
KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def script(one_thread: None) -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts" / "migrate_weights.py"))


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    """A folder of a flow with old names, below another folder, which the tests search."""
    folder = tmp_path / "flow-prior" / KEY
    folder.mkdir(parents=True)
    state = flowavenet(CONFIG, groups=2).state_dict()
    save_file({old: state[new] for old, new in PAIRS.items()}, folder / "weights.safetensors", metadata={"key": KEY})
    write_json(folder / "config.json", {"flow": resolved(CONFIG)})
    seal(folder, KEY)
    return folder


@pytest.mark.parametrize(("old", "new"), PAIRS.items())
def test_new_name_is_that_of_the_nested_flow(old: str, new: str, script: dict[str, Any]) -> None:
    assert script["renamed"](old, CONFIG) == new
    assert new in flowavenet(CONFIG).state_dict()


def test_other_names_are_refused(script: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match=r"is called layers\.0\.shift"):
        script["renamed"]("layers.0.shift", CONFIG)


def test_values_metadata_and_key_stay_and_a_second_run_changes_nothing(artefact: Path, script: dict[str, Any]) -> None:
    before = load_file(artefact / "weights.safetensors")
    first = CliRunner().invoke(script["main"], [str(artefact.parents[1])])
    assert first.exit_code == 0 and "renamed the tensors of 1 of 1 artefacts" in first.output
    after = load_file(artefact / "weights.safetensors")
    assert after.keys() == set(PAIRS.values())
    assert all(torch.equal(after[new], before[old]) for old, new in PAIRS.items())
    with safe_open(artefact / "weights.safetensors", framework="pt") as file:
        assert file.metadata() == {"key": KEY}
    assert fault(artefact, KEY) is None
    marker = (artefact / "complete.json").read_bytes()
    assert "0 of 1 artefacts" in CliRunner().invoke(script["main"], [str(artefact.parents[1])]).output
    assert (artefact / "complete.json").read_bytes() == marker
    assert [path.name for path in artefact.parent.iterdir()] == [KEY]


def test_damaged_artefact_is_left_as_it_is(artefact: Path, script: dict[str, Any]) -> None:
    (artefact / "config.json").write_text("{}")
    before = (artefact / "weights.safetensors").read_bytes()
    with pytest.raises(StoreError, match=r"left as it is: the file config\.json has"):
        script["migrate"](artefact)
    assert (artefact / "weights.safetensors").read_bytes() == before


def test_artefact_of_another_model_is_left_alone(artefact: Path, script: dict[str, Any]) -> None:
    save_file({"net.front.bias": torch.zeros(2)}, artefact / "weights.safetensors")
    assert not script["migrate"](artefact)
