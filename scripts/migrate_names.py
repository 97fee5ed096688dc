"""Give artefacts of trained priors the names of today: configuration, key, title and step; the weights stay.

    .venv/bin/python scripts/migrate_names.py FROM [TO]

FROM is searched with all folders in it for complete artefacts whose configuration has former names
(`srcsep_core.former`). Each is copied to TO (the shipped priors if left out) under its title, if some profile has a
step for it; a second run does the same again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from safetensors.torch import load_file

from srcsep_core.data.toy import VARIANTS
from srcsep_core.errors import StoreError
from srcsep_core.former import FORMER
from srcsep_core.paths import shipped_root
from srcsep_core.run.artefacts import MARKER, PROVENANCE, content_key, fault, replace_folder, seal, write_json
from srcsep_core.run.profiles import PROFILES
from srcsep_core.run.steps import TrainPriors, priors_of
from srcsep_core.run.steps.base import CONFIG, WEIGHTS
from srcsep_core.weights import save_weights

RELEASED_OBJECTIVE = {"flow": "quarter_log_det", "wavenet": "sigmoid"}


def renamed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a training step in today's words."""
    data, train = dict(config["data"]), dict(config["train"])
    data["variant"] = FORMER["variant"].get(data["variant"], data["variant"])
    train["noise"] = FORMER["noise"].get(train["noise"], train["noise"])
    others = {name: dict(part) for name, part in config.items() if name not in ("data", "train")}
    if train["objective"] == "released":
        train["objective"] = next(new for section, new in RELEASED_OBJECTIVE.items() if section in config)
    train["objective"] = FORMER["objective"].get(train["objective"], train["objective"])
    for part in others.values():
        if part.get("likelihood") in FORMER["output"]:
            part["output"] = FORMER["output"][part.pop("likelihood")]
    return {**others, "data": data, "train": train}


def artefacts(root: Path) -> Iterator[Path]:
    """The artefacts of trained priors under `root`, parents before children; raises `StoreError` for damaged ones."""
    found = [path.parent for path in root.rglob(MARKER) if (path.parent / WEIGHTS).exists()]
    for folder in sorted(found, key=lambda one: len(_read(one / PROVENANCE)["parents"])):
        reason = fault(folder, _read(folder / MARKER)["key"])
        if reason is not None:
            raise StoreError(f"{folder} cannot be renamed: {reason}")
        yield folder


def migrate(folder: Path, target: Path, keys: dict[str, str], steps: Mapping[str, TrainPriors]) -> Path | None:
    """Copy one artefact to `target` under its name of today; None if no profile has a step for it.

    `keys` maps former keys to those of today and is added to; a parent's must be there.
    """
    config, facts = renamed(_read(folder / CONFIG)), _read(folder / PROVENANCE)
    name = FORMER["step"].get(facts["step"], facts["step"])
    parents = [keys.get(parent, parent) for parent in facts["parents"]]
    key = keys[facts["key"]] = content_key(name, config, parents)
    if key not in steps:
        return None
    title = steps[key].title
    building = target / f".{title}"
    shutil.rmtree(building, ignore_errors=True)
    shutil.copytree(folder, building)
    save_weights(load_file(folder / WEIGHTS), building / WEIGHTS, metadata={"key": key})
    write_json(building / CONFIG, config)
    former = facts.get("former") or {"key": facts["key"], "title": facts["title"]}
    changed = {} if key == former["key"] else {"former": former}
    write_json(
        building / PROVENANCE, {**facts, "step": name, "title": title, "key": key, "parents": parents, **changed}
    )
    seal(building, key)
    replace_folder(building, target / title)
    return target / title


def known_steps() -> dict[str, TrainPriors]:
    """Every training step of every profile in the toy world, the only one when names were others; by key."""
    profiles = PROFILES.values()
    return {step.key: step for profile in profiles for variant in VARIANTS for step in priors_of(profile, variant)}


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


@click.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("target", type=click.Path(path_type=Path, file_okay=False), required=False)
def main(source: Path, target: Path | None) -> None:
    """Copy the artefacts of trained priors in SOURCE to TARGET under the names of today."""
    keys: dict[str, str] = {}
    steps = known_steps()
    for folder in artefacts(source):
        made = migrate(folder, target or shipped_root(), keys, steps)
        click.echo(f"{folder.name}: {made.name if made else 'no step of today, left out'}")


if __name__ == "__main__":
    main()
