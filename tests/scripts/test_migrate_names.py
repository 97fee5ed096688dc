"""Artefacts with former names become those that the steps of today look for: the same weights, another key."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from srcsep_core.errors import StoreError
from srcsep_core.run.artefacts import content_key, fault, seal, write_json
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps import TrainPriors, prior_step

SMOKE = get_profile("smoke")
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "migrate_names.py"
WEIGHTS = {"a": torch.arange(3.0)}


@pytest.fixture(scope="module")
def script(one_thread: None) -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def old_words(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a step in the words from before."""
    text = json.dumps(config)
    for new, old in (
        ("uniform_hz", "paper"),
        ("whole_periods", "released"),
        ("gaussian", "thesis"),
        ("scaled_clamped", "released"),
        ("quarter_log_det", "released"),
        ('"objective": "sigmoid"', '"objective": "released"'),
        ('"objective": "likelihood"', '"objective": "exact"'),
        ('"output": "softmax"', '"likelihood": "exact"'),
        ('"output": "sigmoid"', '"likelihood": "released"'),
    ):
        text = text.replace(new, old)
    return dict(json.loads(text))


def old_artefact(root: Path, step: TrainPriors, parents: list[str]) -> str:
    """Write the artefact of a step as it was before; returns its key."""
    name = {"denoiser-prior": "score-prior"}.get(step.name, step.name)
    config = old_words(step.config)
    key = content_key(name, config, parents)
    folder = root / key[:8]
    folder.mkdir(parents=True)
    save_file(WEIGHTS, folder / "weights.safetensors", metadata={"key": key})
    write_json(folder / "config.json", config)
    write_json(folder / "provenance.json", {"step": name, "title": "old", "key": key, "parents": parents})
    seal(folder, key)
    return key


CASES = {
    "flow": prior_step(SMOKE, "flowavenet"),
    "flow, authors' loss": prior_step(SMOKE, "flowavenet", objective="quarter_log_det"),
    "WaveNet": prior_step(SMOKE, "wavenet"),
    "WaveNet, authors' loss": prior_step(SMOKE, "wavenet", objective="sigmoid"),
    "denoiser": prior_step(SMOKE, "denoiser", variant="uniform_hz"),
}


@pytest.mark.parametrize("step", CASES.values(), ids=CASES)
def test_artefact_is_found_by_the_step_of_today_with_the_weights_it_had(
    step: TrainPriors, script: dict[str, Any], tmp_path: Path
) -> None:
    former = old_artefact(tmp_path / "old", step, [])
    [folder] = script["artefacts"](tmp_path / "old")
    made = script["migrate"](folder, tmp_path / "new", {}, script["known_steps"]())
    assert made == tmp_path / "new" / step.title and fault(made, step.key) is None
    assert torch.equal(load_file(made / "weights.safetensors")["a"], WEIGHTS["a"])
    with safe_open(made / "weights.safetensors", framework="pt") as file:
        assert file.metadata() == {"key": step.key}
    facts = json.loads((made / "provenance.json").read_text())
    assert facts["former"] == {"key": former, "title": "old"} and former != step.key
    assert (facts["step"], facts["title"], facts["key"]) == (step.name, step.title, step.key)


def test_child_follows_its_parent(script: dict[str, Any], tmp_path: Path) -> None:
    child = prior_step(SMOKE, "flowavenet", sigma=0.359)
    assert child.initial is not None
    parent_key = old_artefact(tmp_path / "old", child.initial, [])
    old_artefact(tmp_path / "old", child, [parent_key])
    keys: dict[str, str] = {}
    for folder in script["artefacts"](tmp_path / "old"):
        script["migrate"](folder, tmp_path / "new", keys, script["known_steps"]())
    assert fault(tmp_path / "new" / child.title, child.key) is None
    facts = json.loads((tmp_path / "new" / child.title / "provenance.json").read_text())
    assert facts["parents"] == [child.initial.key]


def test_what_no_profile_has_is_left_out_and_what_is_damaged_is_named(script: dict[str, Any], tmp_path: Path) -> None:
    strange = prior_step(SMOKE, "flowavenet", steps=3)
    old_artefact(tmp_path / "old", strange, [])
    [folder] = script["artefacts"](tmp_path / "old")
    assert script["migrate"](folder, tmp_path / "new", {}, script["known_steps"]()) is None
    (folder / "config.json").write_text("{}")
    with pytest.raises(StoreError, match=r"cannot be renamed: the file config\.json has"):
        list(script["artefacts"](tmp_path / "old"))
