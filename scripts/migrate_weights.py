"""Rename the tensors of FloWaveNet artefacts from before the blocks were nested; values and content keys stay.

    .venv/bin/python scripts/migrate_weights.py [FOLDER]

FOLDER (the shipped priors if left out) is searched with all folders in it for complete artefacts. Those of other
models and those with the new names are left alone, so that it may be run again.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import click
from safetensors import safe_open
from safetensors.torch import save_file

from srcsep_core.errors import StoreError
from srcsep_core.paths import shipped_root
from srcsep_core.priors.flowavenet import FlowConfig
from srcsep_core.run.steps.base import CONFIG, WEIGHTS
from srcsep_core.run.store import MARKER, fault, replace_folder, seal

OLD_NAME = re.compile(r"blocks\.(?P<block>\d+)\.(?:steps\.transforms\.(?P<step>\d+)|split)\.(?P<rest>.+)")


def renamed(name: str, flow: FlowConfig) -> str:
    """The name in a nested flow of the tensor `name` of a flow of listed blocks; raises `StoreError` for any other."""
    match = OLD_NAME.fullmatch(name)
    if match is None:
        raise StoreError(f"no tensor of a flow of listed blocks is called {name}")
    last = 1 + 3 * flow.flows
    place = "transform"
    for index in range(1, int(match["block"]) + 1):
        split = bool(flow.split_every) and index % flow.split_every == 0
        place += f".transforms.{last}" + (".inner" if split else "")
    step = f"transforms.{last}.coupling" if match["step"] is None else f"transforms.{int(match['step']) + 1}"
    return f"{place}.{step}.{match['rest']}"


def migrate(folder: Path) -> bool:
    """Rename the tensors of the artefact in `folder` if they have old names; whether it did.

    The folder is replaced as a whole once the new one is sealed. Raises `StoreError` for an artefact that does not
    agree with its marker.
    """
    if not (folder / WEIGHTS).exists():
        return False
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        metadata, names = file.metadata(), list(file.keys())
        if not all(OLD_NAME.fullmatch(name) for name in names):
            return False
        tensors = {name: file.get_tensor(name) for name in names}
    key = json.loads((folder / MARKER).read_text())["key"]
    reason = fault(folder, key)
    if reason is not None:
        raise StoreError(f"{folder} is left as it is: {reason}")
    facts = json.loads((folder / CONFIG).read_text())["flow"]
    flow = FlowConfig(**{field: facts[field] for field in FlowConfig.__dataclass_fields__})
    building = folder.with_name(f".building-{folder.name}")
    shutil.rmtree(building, ignore_errors=True)
    shutil.copytree(folder, building)
    save_file({renamed(name, flow): value for name, value in tensors.items()}, building / WEIGHTS, metadata=metadata)
    shutil.copymode(folder / WEIGHTS, building / WEIGHTS)
    seal(building, key)
    replace_folder(building, folder)
    return True


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=shipped_root())
def main(folder: Path) -> None:
    """Rename the tensors of every flow artefact in FOLDER."""
    markers = sorted(folder.rglob(MARKER))
    count = sum(migrate(marker.parent) for marker in markers)
    click.echo(f"renamed the tensors of {count} of {len(markers)} artefacts in {folder}")


if __name__ == "__main__":
    main()
