"""Run the notebooks without a browser, pair them with their sources, and make a gallery of the results.

The percent script `NN_title.py` is the source; `NN_title.ipynb` holds the same cells, executed. papermill
runs the `.ipynb`; jupytext keeps the two equal.
"""

from __future__ import annotations

import html
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srcsep_core.errors import InputError
from srcsep_core.paths import REFERENCE, figures_root, project_root
from srcsep_core.progress import Stages
from srcsep_core.report import timings
from srcsep_core.report.results import forget_run, record_run, renewing

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
QUIET_KERNEL = ["--IPKernelApp.log_level=ERROR"]
# What a kernel finds in its environment unless it is set already. With the two sizes (bytes) glibc keeps memory that
# was freed rather than asking the system anew for every large tensor, which takes a fifth of an evaluation's time.
KERNEL_ENVIRONMENT = {
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # silences the debugger
    "OMP_NUM_THREADS": "1",  # small networks are slower on threads that contend
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
}
# Notices of the notebook tools about themselves, which a reader can do nothing about.
NOTICES = (
    "Kernel is running over TCP without encryption",
    "frozen modules are being used",
    "to python to disable frozen modules",
    "Debugging will proceed. Set PYDEVD_DISABLE_FILE_VALIDATION",
    "make the debugger miss breakpoints",
)


@dataclass(frozen=True)
class Executed:
    """A notebook that ran: its title, the executed file, its page, and how long it took (s)."""

    name: str
    title: str
    notebook: Path
    page: Path
    seconds: float


def notebook_sources(names: Sequence[str] = ()) -> list[Path]:
    """The percent scripts in order, or those whose names start with one of `names`."""
    every = sorted((project_root() / "notebooks").glob("[0-9][0-9]_*.py"))
    if not names:
        return every
    chosen = [path for path in every if any(path.stem.startswith(name) for name in names)]
    missing = [name for name in names if not any(path.stem.startswith(name) for path in every)]
    if missing:
        available = ", ".join(path.stem for path in every)
        raise InputError(f"no notebook called {', '.join(missing)}; there are {available}")
    return chosen


def parse_parameters(pairs: Sequence[str], allowed: Sequence[str]) -> dict[str, Any]:
    """`name=value` pairs as papermill parameters; an unknown name is an error, as papermill only warns."""
    parameters: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or name not in allowed:
            raise InputError(f"unknown notebook parameter {pair!r}; use {', '.join(f'{a}=...' for a in allowed)}")
        parameters[name] = int(value) if name == "seed" and value.lstrip("-").isdigit() else value
    return parameters


def pair(source: Path) -> Path:
    """Write the `.ipynb` beside a percent script anew where their cells differ; returns its path.

    Outputs of code cells whose source did not change are kept, in order where several have the same source.
    """
    import jupytext
    import nbformat

    target = source.with_suffix(".ipynb")
    notebook = jupytext.read(source)
    if target.exists():
        old = nbformat.read(target, as_version=4)
        if cells_of(old) == cells_of(notebook):
            return target
        keep_outputs(old, notebook)
    notebook.metadata["kernelspec"] = KERNEL
    notebook.metadata.pop("jupytext", None)
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index:02d}"
    nbformat.write(notebook, target)
    return target


def keep_outputs(old: Any, new: Any) -> None:
    """Give every code cell of `new` the outputs and the count of the next cell of `old` with the same source."""
    kept: dict[str, list[Any]] = {}
    for cell in old.cells:
        if cell.cell_type == "code":
            kept.setdefault(cell.source, []).append(cell)
    for cell in new.cells:
        if cell.cell_type == "code" and kept.get(cell.source):
            earlier = kept[cell.source].pop(0)
            cell.outputs, cell.execution_count = earlier.outputs, earlier.execution_count


def cells_of(notebook: Any) -> list[tuple[str, str]]:
    """Type and source of every cell, papermill's injected parameters left out."""
    return [
        (cell.cell_type, cell.source)
        for cell in notebook.cells
        if "injected-parameters" not in cell.metadata.get("tags", [])
    ]


def execute(source: Path, output: Path, parameters: Mapping[str, Any], pages: Path) -> Executed:
    """Run one notebook through papermill and write its HTML page."""
    import papermill

    for chatty in ("papermill", "traitlets", "asyncio"):  # what they call errors is raised, or the end of a stopped run
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    started = time.monotonic()
    output.parent.mkdir(parents=True, exist_ok=True)
    pages.mkdir(parents=True, exist_ok=True)
    for name, value in KERNEL_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    papermill.execute_notebook(
        str(pair(source)),
        str(output),
        parameters=dict(parameters),
        kernel_name="python3",
        cwd=str(source.parent),
        progress_bar=False,
        extra_arguments=QUIET_KERNEL,
        shutdown_kernel="immediate",  # Ctrl-C waits for no cell
    )
    page = pages / f"{source.stem}.html"
    title = to_html(output, page)
    return Executed(source.stem, title, output, page, time.monotonic() - started)


def to_html(notebook: Path, page: Path) -> str:
    """Render an executed notebook as one self-contained page; returns its title.

    The state of interactive widgets is left out: without a kernel they do nothing, and their script is not inline.
    """
    import nbformat
    from nbconvert import HTMLExporter

    content = nbformat.read(notebook, as_version=4)
    content.metadata.pop("widgets", None)
    drop_notices(content)
    title = next(
        (
            line.lstrip("# ").strip()
            for cell in content.cells
            if cell.cell_type == "markdown"
            for line in cell.source.splitlines()
            if line.startswith("# ")
        ),
        notebook.stem,
    )
    body, _ = HTMLExporter(embed_images=True).from_notebook_node(content, {"metadata": {"name": title}})
    page.write_text(body)
    return title


def drop_notices(notebook: Any) -> None:
    """Take `NOTICES` out of the error streams of code cells, and streams of nothing else out whole."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                lines = output["text"].splitlines(keepends=True)
                output["text"] = "".join(line for line in lines if not any(notice in line for notice in NOTICES))
        if "outputs" in cell:
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr" or o["text"].strip()]


def strip_volatile(path: Path) -> None:
    """Take out of an executed notebook what differs from run to run: times, paths and injected cells."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [c for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index:02d}"
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags} if tags else {}
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    nbformat.write(notebook, path)


def run_notebooks(
    names: Sequence[str], parameters: Mapping[str, Any], *, in_place: bool = False, train: bool = False
) -> tuple[list[Executed], Path]:
    """Run notebooks and write the gallery; returns what ran and the gallery's index page.

    Before a run of all of them the steps that they share are made (`run.executors`), and with `train` the priors that
    are not there: a notebook itself trains none, but where the profile's are trained on the spot.

    Executed copies go to `figures/gallery`; with `in_place` they also replace the committed `.ipynb` files, and every
    table and figure replaces the one that stands. `results.last_verdict` judges the run afterwards.
    """
    sources = notebook_sources(names)
    gallery = figures_root() / "gallery"
    profile = str(parameters.get("profile", REFERENCE))
    if train or not names:
        _prepare(profile, str(parameters.get("device", "auto")), train)
    forget_run(profile)
    started = time.time()
    executed = []
    expected = timings.expected(profile, [source.stem for source in sources])
    with renewing(in_place), Stages(expected, "notebooks") as stages:
        for source in sources:
            output = gallery / f"{source.stem}.ipynb"
            with stages.stage(source.stem):
                done = execute(source, output, parameters, gallery)
            if in_place:
                final = source.with_suffix(".ipynb")
                final.write_text(output.read_text())
                strip_volatile(final)
            executed.append(done)
            timings.record(profile, source.stem, done.seconds)
    record_run(profile, started)
    index = gallery / "index.html"
    index.write_text(_index(executed, parameters))
    return executed, index


def _prepare(profile: str, device: str, train: bool) -> None:
    """Make the steps that all notebooks ask for, side by side, before the first notebook waits for one."""
    from srcsep_core.audit.songs import asked_variants
    from srcsep_core.data.base import world_of
    from srcsep_core.run.executors import prepare
    from srcsep_core.run.pipeline import Pipeline, resolve_device
    from srcsep_core.run.profiles import get_profile
    from srcsep_core.run.steps import steps_of

    chosen = get_profile(profile)
    pipeline = Pipeline(device=resolve_device(device), progress=True, train=train or chosen.on_the_spot)
    asked = (world_of().variant, *asked_variants(pipeline, chosen))
    prepare(pipeline, [step for variant in asked for step in steps_of(chosen, variant)])


def _index(executed: Sequence[Executed], parameters: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f'<li><a href="{e.page.name}">{html.escape(e.title)}</a> <small>{e.name}, {e.seconds:.0f} s</small></li>'
        for e in executed
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>srcsep: the notebooks</title>
<style>body {{ font: 17px/1.6 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem }}
small {{ color: #666 }}</style></head>
<body><h1>srcsep: the notebooks</h1>
<p>Executed with {html.escape(json.dumps(dict(parameters)) or "the default parameters")}.</p>
<ol start="0">
{rows}
</ol></body></html>
"""
