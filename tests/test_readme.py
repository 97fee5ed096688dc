"""The README says what the tables say, and its example runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from srcsep_core.errors import InputError
from srcsep_core.paths import project_root
from srcsep_core.report.readme import BEGIN, END, claims_table, update_readme

README = project_root() / "README.md"


def committed(name: str, folder: Path) -> Path:
    """A copy of the file as committed: a run of the notebooks elsewhere may change its last digits."""
    git = ["git", "-C", str(project_root()), "show", f"HEAD:{name}"]
    shown = subprocess.run(git, capture_output=True, check=False)
    copy = folder / Path(name).name
    copy.write_bytes(shown.stdout if shown.returncode == 0 else (project_root() / name).read_bytes())
    return copy


def test_results_agree_with_the_committed_table(tmp_path: Path) -> None:
    readme, table = (committed(name, tmp_path) for name in ("README.md", "figures/claims.csv"))
    assert update_readme(readme, table) == readme.read_text()


def test_a_changed_table_changes_the_text() -> None:
    table = pd.read_csv(project_root() / "figures" / "claims.csv")
    changed = table.assign(value=table["value"] / 2)
    assert claims_table(changed) != claims_table(table)


def test_missing_markers_are_named(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n")
    with pytest.raises(InputError, match=re.escape(END)):
        update_readme(readme)


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = re.findall(r"\]\((?!#|http)([^)]+)\)", README.read_text())
    assert links
    assert [link for link in links if not (project_root() / link).exists()] == []


def test_every_room_of_the_house_exists() -> None:
    """A row of "What is where" names paths; names without a folder lie beside the first of the row."""
    rows = re.findall(r"^\| (`.*?) \|", README.read_text().split("## What is where")[1], flags=re.MULTILINE)
    rooms = [re.findall(r"`([^`]+)`", row) for row in rows]
    paths = [name if "/" in name else Path(row[0]).parent / name for row in rooms for name in row]
    assert len(rows) > 10
    assert [str(path) for path in paths if not (project_root() / path).exists()] == []


@pytest.mark.slow
def test_the_fifteen_lines_run(cache_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, *_ = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 15
    names: dict[str, object] = {}
    exec(code.replace("steps=300", "steps=20").replace("progress=True", ""), names)
    printed = capsys.readouterr().out
    assert re.search(r"saw signals +-?\d+\.\d+ nats/sample", printed)
    assert "torch.Size([8, 1, 1024])" in printed
