"""The notebooks run headless, hold the same cells as their sources, and refuse what they do not know."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jupytext
import nbformat
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from srcsep_core.audit.tables import FACTS, SIGNALS
from srcsep_core.cli import main
from srcsep_core.errors import InputError
from srcsep_core.paths import project_root
from srcsep_core.report import notebooks, timings
from srcsep_core.report.results import results_of, write_table
from srcsep_core.report.session import PARAMETERS, start

SOURCES = notebooks.notebook_sources()
KEY_COLUMNS = [*FACTS, *SIGNALS]
SILENT = ("03", "05", "09", "10", "11", "12", "16", "17", "18", "21")

ONCE = pytest.mark.xdist_group("smoke")  # else every worker would run all notebooks for its share of these tests


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every notebook executed at the smoke profile, once; the folder of what they wrote."""
    folder = tmp_path_factory.mktemp("smoke")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SRCSEP_CACHE", str(folder / "cache"))
        patch.setenv("SRCSEP_FIGURES", str(folder / "figures"))
        patch.setenv("OMP_NUM_THREADS", "1")
        result = CliRunner().invoke(main, ["notebooks", "-p", "smoke", "--device", "cpu"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder / "figures"


def test_notebooks_train_nothing_unasked_but_what_takes_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRCSEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SRCSEP_FIGURES", str(tmp_path / "figures"))
    with pytest.raises(InputError, match=r"sets of priors are not trained .* train=True"):
        notebooks.run_notebooks([], {"profile": "full", "device": "cpu"})
    assert not list(tmp_path.rglob("*.ipynb"))
    trained = {profile: start("03", profile, 0, "cpu").pipeline.train for profile in ("smoke", "laptop", "full")}
    assert trained == {"smoke": True, "laptop": False, "full": False}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_ipynb_holds_the_cells_of_its_source(source: Path) -> None:
    paired = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert notebooks.cells_of(paired) == notebooks.cells_of(jupytext.read(source))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_committed_notebook_is_executed_without_errors(source: Path) -> None:
    paired = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    code = [cell for cell in paired.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]
    assert paired.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_one_parameters_cell_with_plain_literals(source: Path) -> None:
    cells = [c for c in jupytext.read(source).cells if "parameters" in c.metadata.get("tags", [])]
    assert len(cells) == 1
    names: dict[str, object] = {}
    exec(cells[0].source, {}, names)
    assert tuple(names) == PARAMETERS
    assert names["profile"] == "laptop"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_cells_are_short_and_every_figure_is_followed_by_its_number(source: Path) -> None:
    """At most twenty lines beside imports; a cell that saves a figure, or the next one, prints a sentence."""
    cells = [cell.source for cell in jupytext.read(source).cells if cell.cell_type == "code"]
    for cell, following in zip(cells, [*cells[1:], ""], strict=True):
        imported = [n for n in ast.parse(cell).body if isinstance(n, ast.Import | ast.ImportFrom)]
        lines = len([line for line in cell.splitlines() if line.strip()])
        assert lines - sum((n.end_lineno or n.lineno) - n.lineno + 1 for n in imported) <= 20, cell
        assert "save_figure(" not in cell or "print(" in cell + following, cell


def test_no_table_among_the_figures_is_larger_than_a_megabyte() -> None:
    assert [path.name for path in (project_root() / "figures").glob("*.csv") if path.stat().st_size > 1e6] == []


@ONCE
@pytest.mark.slow
def test_all_notebooks_run_and_write_figures_tables_and_gallery(smoke: Path) -> None:
    written = {path.name for path in (smoke / "smoke").iterdir()}
    for stem in (
        "toy_period",
        "toy_frequency_law",
        "training_curves",
        "prior_samples",
        "likelihood_map",
        "receptive_field",
        "discrimination_toy_flow",
        "figure3_toy_flow",
        "figure3_toy_wavenet",
        "wavenet_samples",
        "figure4_flow",
        "figure4_wavenet",
        "discrimination_by_noise",
        "figure13_noise_curve",
        "gap_to_oracle",
        "figure15_constant_input",
        "figure15_random_input",
        "published_agreement_flow",
        "claims_noise",
        "noise_windows",
        "scores",
        "statistics",
        "ablation",
        "separation_unconstrained",
        "separation_cause",
        "separation_known",
        "separation_chain",
        "separation_failures",
        "separation_failures_known",
        "separation_beyond",
        "separation_compute",
        "explorer_chain",
        "explorer_result",
        "score_training",
        "score_denoising",
        "score_against_oracle",
        "score_samples",
        "trust",
    ):
        assert {f"{stem}.png", f"{stem}.pdf", f"{stem}.csv"} <= written
    index = (smoke / "gallery" / "index.html").read_text()
    for source in SOURCES:
        assert f"{source.stem}.html" in index
        page = (smoke / "gallery" / f"{source.stem}.html").read_text()
        assert 'class="srcsep-data"' in page or source.stem.startswith(SILENT)
        assert "unpkg.com" not in page, "the page must work offline"


# `srcsep notebooks` with one notebook in place of the project's; its figures go beside it.
ONE_NOTEBOOK = """
import os, sys
from pathlib import Path
from srcsep_core.cli import main
from srcsep_core.report import notebooks

if __name__ == "__main__":
    os.setsid()
    source = Path(sys.argv[1])
    os.environ |= {"SRCSEP_CACHE": str(source.parent / "cache"), "SRCSEP_FIGURES": str(source.parent)}
    notebooks.notebook_sources = lambda names=(): [source]
    main(["notebooks", source.stem, "-p", "smoke"])
"""

ENDLESS_CELL = """# %% tags=["parameters"]
profile, seed, device = "laptop", 0, "auto"
# %%
import os, pathlib, time
pathlib.Path("kernel").write_text(str(os.getpid()))
time.sleep(600)
"""


@pytest.mark.slow
def test_ctrl_c_in_a_notebook_is_one_sentence_and_ends_its_kernel(
    tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    (source := tmp_path / "90_endless.py").write_text(ENDLESS_CELL)
    process = start_python(ONE_NOTEBOOK, source)
    note = tmp_path / "kernel"
    while not (note.exists() and note.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and output == ""
    *progress, sentence = errors.splitlines()
    assert all(line.startswith("notebooks 1/1: 90_endless, ") for line in progress)
    assert sentence.startswith(f"Stopped: finished notebooks are in {tmp_path / 'gallery'}, ")
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


@ONCE
@pytest.mark.slow
def test_tables_have_the_columns_others_rely_on(smoke: Path) -> None:
    tables = {path.stem: pd.read_csv(path) for path in (smoke / "smoke").glob("*.csv")}
    likelihood, discrimination = tables["cross_likelihood"], tables["discrimination"]
    described = ["n", "mean", "median", "q05", "q95"]
    assert list(likelihood.columns)[: len(KEY_COLUMNS) + 7] == [*KEY_COLUMNS, "source", "prior", *described]
    assert not likelihood.duplicated([*KEY_COLUMNS, "source", "prior"]).any()
    measures = [f"{name}{end}" for name in ("auroc", "accuracy") for end in ("", "_low", "_high")]
    assert list(discrimination.columns) == [*KEY_COLUMNS, "ratio", "source", "prior", *measures, "n"]
    for table in (likelihood, discrimination):
        assert set(table["protocol"]) == {"log_pz", "mean_sigmoid", "log_prob", "oracle"}
        assert set(table["model"]) == {"flowavenet", "wavenet", "oracle"}
    for name, level in (("noise_curve", "data_sigma"), ("random_input", "input_sigma")):
        assert {*FACTS, "length", "prior", level, *described} <= set(tables[name].columns)
    assert list(tables["constant_input"].columns) == [*FACTS, "length", "prior", "level", "n", "median"]
    ledger = ["claim", "printed", "released", "exact", "oracle", "verdict", "low", "high", "n", "command"]
    assert set(ledger) <= set(tables["claims"].columns)
    toy = tables["coverage"][tables["coverage"]["world"] == "toy"]
    assert not toy.empty
    own = discrimination["source"] == discrimination["prior"]
    assert discrimination.loc[own, "accuracy"].between(0, 1).all()
    assert discrimination.loc[~own, "auroc"].between(0, 1).all()


@ONCE
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="there are no workers")
def test_a_group_of_tests_goes_to_one_worker(request: pytest.FixtureRequest) -> None:
    assert request.node.nodeid.endswith("@smoke"), "pytest-xdist does not see groups; another pytest?"


@ONCE
@pytest.mark.slow
def test_smoke_run_leaves_the_committed_figures_alone(smoke: Path) -> None:
    assert not [path for path in smoke.iterdir() if path.suffix == ".csv"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "profil", "smoke"], "unknown notebook parameter(s) profil"),
        (["-p", "profile", "desktop"], "unknown profile 'desktop'"),
        (["-p", "seed", "many"], "the seed 'many' is not a whole number"),
    ],
)
def test_papermill_itself_stops_at_a_bad_parameter(arguments: list[str], words: str, tmp_path: Path) -> None:
    notebook = SOURCES[0].with_suffix(".ipynb")
    command = [sys.executable, "-m", "papermill", str(notebook), str(tmp_path / "out.ipynb"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(tmp_path))
    assert done.returncode != 0
    assert words in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--parameter", "profil=smoke"], "unknown notebook parameter 'profil=smoke'"),
        (["-p", "desktop"], "unknown profile 'desktop'"),
        (["77"], "no notebook called 77"),
        (["--device", "tpu"], "unknown device 'tpu'"),
    ],
)
def test_the_command_line_refuses_what_it_does_not_know(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRCSEP_FIGURES", str(tmp_path / "figures"))
    result = CliRunner().invoke(main, ["notebooks", *arguments])
    assert result.exit_code == 1
    assert words in result.output
    assert not (tmp_path / "figures").exists()


def test_pairing_writes_a_runnable_notebook_and_keeps_outputs(tmp_path: Path) -> None:
    source = tmp_path / "00_example.py"
    source.write_text('# %% [markdown]\n# # Title\n\n# %% tags=["parameters"]\nx = 1\n')
    target = notebooks.pair(source)
    notebook = nbformat.read(target, as_version=4)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code"]
    notebook.cells[1].execution_count = 7
    nbformat.write(notebook, target)
    assert nbformat.read(notebooks.pair(source), as_version=4).cells[1].execution_count == 7
    source.write_text(source.read_text().replace("x = 1", "x = 2"))
    assert nbformat.read(notebooks.pair(source), as_version=4).cells[1].source == "x = 2"


def test_outputs_of_unchanged_cells_survive_a_change_elsewhere(tmp_path: Path) -> None:
    source = tmp_path / "00_example.py"
    source.write_text("# %%\nx = 1\n\n# %%\nprint(x)\n\n# %%\nprint(x)\n\n# %%\ny = 2\n")
    target = notebooks.pair(source)
    notebook = nbformat.read(target, as_version=4)
    for count, cell in enumerate(notebook.cells, start=1):
        cell.execution_count = count
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"output {count}")]
    nbformat.write(notebook, target)
    source.write_text("# %% [markdown]\n# New words.\n\n" + source.read_text().replace("y = 2", "y = 3"))
    words, first, second, third, changed = nbformat.read(notebooks.pair(source), as_version=4).cells
    assert words.cell_type == "markdown" and "outputs" not in words
    assert [cell.execution_count for cell in (first, second, third)] == [1, 2, 3]
    assert [cell.outputs[0].text for cell in (first, second, third)] == ["output 1", "output 2", "output 3"]
    assert changed.source == "y = 3" and changed.outputs == [] and changed.execution_count is None


def test_notices_of_the_notebook_tools_are_dropped_and_ours_stay() -> None:
    notice = f"[IPKernelApp] WARNING | {notebooks.NOTICES[0]}. All communication is plain.\n"
    streams = [("stderr", notice), ("stderr", notice + "training the flow\n"), ("stdout", notice)]
    outputs = [nbformat.v4.new_output("stream", name=name, text=text) for name, text in streams]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=outputs)])
    notebooks.drop_notices(notebook)
    assert [output.text for output in notebook.cells[0].outputs] == ["training the flow\n", notice]


def test_a_run_ends_with_its_verdict_and_verify_repeats_it(
    cache_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notebook runner is replaced by one table that is kept the way a notebook keeps it."""
    figures = tmp_path / "figures"
    monkeypatch.setenv("SRCSEP_FIGURES", str(figures))

    def run_with(value: float) -> Result:
        def execute(source: Path, output: Path, parameters: object, pages: Path) -> notebooks.Executed:
            pages.mkdir(parents=True, exist_ok=True)
            results_of("laptop").save_table(pd.DataFrame({"value": [value]}), "one")
            return notebooks.Executed(source.stem, "", output, pages / "page.html", 2.0)

        monkeypatch.setattr(notebooks, "execute", execute)
        return CliRunner().invoke(main, ["notebooks", "01"], catch_exceptions=False)

    assert CliRunner().invoke(main, ["verify"]).exit_code == 1
    first = run_with(1.0)
    assert first.exit_code == 0 and f"1 table written to {figures} and compared with nothing" in first.output
    write_table(pd.DataFrame({"value": [1.001]}), figures, "one")
    agreed = run_with(1.0)
    assert agreed.exit_code == 0 and "1 table: 1 agree" in agreed.output
    assert (figures / "one.csv").read_text() == "value\n1.001\n"
    for result in (run_with(2.0), run_with(2.0), CliRunner().invoke(main, ["verify"])):
        assert result.exit_code == 1
        assert "one: column value, row 0: 1.001 stood, 2 came out" in result.output
        assert "srcsep notebooks --in-place" in result.output
    assert timings.expected("laptop", ["01_toy_data"]) == {"01_toy_data": 2.0}


def test_seed_is_read_as_a_number() -> None:
    assert notebooks.parse_parameters(["seed=3", "profile=smoke"], PARAMETERS) == {"seed": 3, "profile": "smoke"}
    with pytest.raises(InputError, match="sead=3"):
        notebooks.parse_parameters(["sead=3"], PARAMETERS)


def _environment(folder: Path) -> dict[str, str]:
    import os

    assert shutil.which(sys.executable)
    return os.environ | {"SRCSEP_CACHE": str(folder / "cache"), "SRCSEP_FIGURES": str(folder / "figures")}


@pytest.mark.parametrize("name", list(notebooks.KERNEL_ENVIRONMENT))
@pytest.mark.parametrize("asked", [None, "3"])
def test_kernels_get_their_environment_unless_asked_otherwise(
    asked: str | None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ) | ({name: asked} if asked else {}))
    if asked is None:
        os.environ.pop(name, None)
    seen = list[str]()
    monkeypatch.setattr("papermill.execute_notebook", lambda *a, **k: seen.append(os.environ[name]))
    monkeypatch.setattr(notebooks, "to_html", lambda output, page: "title")
    source = notebooks.notebook_sources(["01"])[0]
    notebooks.execute(source, tmp_path / "out.ipynb", {}, tmp_path / "pages")
    assert seen == [asked or notebooks.KERNEL_ENVIRONMENT[name]]
