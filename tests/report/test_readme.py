"""README, CONTRIBUTING and docs say what the tables and the code say, and their examples run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pandas as pd
import pytest
from click.testing import CliRunner

from srcsep_core.benchmark.controls import FLOW_SETTINGS, LONG_CHAINS
from srcsep_core.benchmark.results import PAIRS
from srcsep_core.cli import main
from srcsep_core.errors import InputError
from srcsep_core.paths import project_root
from srcsep_core.report.readme import (
    CLAIMS,
    NOT_SETTLED,
    NUMBERS,
    PLAIN_CLAIMS,
    TABLES,
    UNSETTLED,
    claims_block,
    numbers_block,
    shown_verdict,
    update_readme,
)
from srcsep_core.separate.calibration import detection

ROOT = project_root()
README = ROOT / "README.md"
PAGES = ("README.md", "CONTRIBUTING.md", "docs/running.md", "docs/glossary.md", "data/pretrained/README.md")
MADE = {"figures/gallery/index.html"}  # by a run, and not committed


def committed(name: str, folder: Path) -> Path:
    """A copy of the file as committed: a run of the notebooks elsewhere may change its last digits."""
    shown = subprocess.run(["git", "-C", str(ROOT), "show", f"HEAD:{name}"], capture_output=True, check=False)
    copy = folder / Path(name).name
    copy.write_bytes(shown.stdout if shown.returncode == 0 else (ROOT / name).read_bytes())
    return copy


def tables() -> list[pd.DataFrame]:
    """Separation, discrimination, trust, music, claims."""
    return [pd.read_csv(ROOT / name) for name in TABLES]


def test_front_page_is_short() -> None:
    assert len(README.read_text().split()) <= 900


def test_blocks_agree_with_the_committed_tables(tmp_path: Path) -> None:
    for name in TABLES:
        committed(name, tmp_path)
    readme = committed("README.md", tmp_path)
    assert update_readme(readme, tmp_path) == readme.read_text()


def test_check_says_whether_the_readme_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    agreed = update_readme()
    written = README.read_text()
    monkeypatch.setattr("srcsep_core.report.readme.update_readme", lambda _: f"{written}more")
    result = CliRunner().invoke(main, ["readme", "--check"])
    assert result.exit_code == 1 and "run `srcsep readme`" in result.output
    monkeypatch.setattr("srcsep_core.report.readme.update_readme", lambda _: written)
    assert CliRunner().invoke(main, ["readme", "--check"]).exit_code == 0
    assert README.read_text() == written and "## Claims" in agreed


def test_numbers_have_their_n_interval_and_table() -> None:
    rows = numbers_block(*tables()[:4]).splitlines()[2:]
    assert len(rows) == 8
    for row in rows:
        _, measured, n, table = (cell.strip() for cell in row.strip("|").split("|"))
        assert re.search(r"\d\S* \[\S+, \S+\]", measured)
        assert int(n) > 0
        assert table.strip("`") in [Path(name).name for name in TABLES]


def test_limits_have_the_numbers_of_the_verdicts() -> None:
    found = detection(tables()[2])
    caught, alarms = (
        f"{100 * row['share']:.0f} % [{100 * row['low']:.0f}, {100 * row['high']:.0f}] of the {of}"
        for of, (_, row) in zip(("wrong results", "right ones"), found.iterrows(), strict=True)
    )
    prose = " ".join((ROOT / "docs/running.md").read_text().split())
    assert f"{found['n'].sum()} others" in prose and f"it distrusts {caught} and {alarms}" in prose


def test_changed_tables_change_the_blocks() -> None:
    separation, discrimination, trust, music, claims = tables()
    halved = separation.assign(all_above_10db=separation["all_above_10db"] / 2)
    block = numbers_block(separation, discrimination, trust, music)
    assert numbers_block(halved, discrimination, trust, music) != block
    assert numbers_block(separation, discrimination.assign(auroc=0.5), trust, music) != block
    assert numbers_block(separation, discrimination, trust.assign(verdict="trust"), music) != block
    assert numbers_block(separation, discrimination, trust, music.assign(si_sdri_mean=1.0)) != block
    assert claims_block(claims.assign(value=claims["value"] / 2)) != claims_block(claims)


def test_table_without_the_rows_is_named() -> None:
    separation, discrimination, trust, music, claims = tables()
    with pytest.raises(InputError, match=re.escape("separation.csv")):
        numbers_block(separation[separation["group"] != "known"], discrimination, trust, music)
    with pytest.raises(InputError, match=re.escape("discrimination.csv")):
        numbers_block(separation, discrimination[discrimination["training"] != "noise-free"], trust, music)
    with pytest.raises(InputError, match=re.escape("separation_music.csv")):
        numbers_block(separation, discrimination, trust, music[music["split"] != "songs"])
    with pytest.raises(InputError, match="0 claims called 'flows_discriminate'"):
        claims_block(claims[1:])


def test_plain_claims_and_unsettled_ones_are_in_the_ledger() -> None:
    ids = tables()[4]["id"].tolist()
    assert len(set(ids)) == len(ids) and {*UNSETTLED, *(plain.id for plain in PLAIN_CLAIMS)} <= set(ids)


def test_verdicts_that_await_a_rule_are_not_settled() -> None:
    rows = tables()[4].to_dict("records")
    shown = {str(row["id"]): shown_verdict({str(k): v for k, v in row.items()}) for row in rows}
    assert {shown[name] for name in UNSETTLED} == {NOT_SETTLED}
    assert set(shown.values()) == {"holds", "does not hold", NOT_SETTLED}


@pytest.mark.parametrize("marker", [*NUMBERS, *CLAIMS])
def test_missing_markers_are_named(marker: str, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(README.read_text().replace(marker, ""))
    with pytest.raises(InputError, match=re.escape(marker)):
        update_readme(readme)


def test_numbers_in_the_prose_stand_in_the_table() -> None:
    separation = tables()[0]
    pairs, fours = (separation[separation["sources"] == s] for s in (PAIRS, "sine+square+saw+triangle"))

    def shares(rows: pd.DataFrame, **wanted: str) -> set[str]:
        for column, value in wanted.items():
            rows = rows[rows[column].fillna("") == value]
        return {f"{share:.0%}".replace("%", " %") for share in rows["all_above_10db"]}

    prose = README.read_text().split("## Why it failed")[1].split("## Notebooks")[0]
    like_flows = {"control": FLOW_SETTINGS}
    denoiser = [shares(rows[rows["prior"] == "denoiser"], **like_flows) for rows in (pairs, fours)]
    found = [
        shares(pairs, prior="oracle", sampler="langevin", control=""),
        shares(pairs, prior="oracle", sampler="langevin", control=LONG_CHAINS),
        shares(pairs, prior="oracle", sampler="projection", control=""),
        shares(pairs, prior="oracle", sampler="gibbs", control=""),
        *denoiser,
        shares(pairs, prior="flow-conditional", sampler="gibbs", control=""),
    ]
    stated = ["10 %", "20 %", "38 %", "100 %", "98 %", "0 %", "38 %"]
    assert found == [{share} for share in stated]
    assert all(share in prose for share in stated)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\((?!http)([^)]+)\)", (ROOT / page).read_text()):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.*)", target.read_text(), flags=re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles], link


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page: str) -> None:
    """Names between backticks with a folder of the project before them; capitals stand for a name to be chosen."""
    tops = {path.name for path in ROOT.iterdir() if path.is_dir()} - {".cache"}
    named = re.findall(r"`([\w.*-]+/[\w./*-]*)`", (ROOT / page).read_text())
    paths = [name for name in named if name.split("/")[0] in tops and not re.search(r"NAME|NN_|\*", name)]
    missing = [name for name in paths if not (ROOT / name).exists() and name not in MADE]
    assert missing == []


def test_map_of_folders_is_complete() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    folders = [path for path in (ROOT / "srcsep_core").iterdir() if (path / "__init__.py").exists()]
    assert [path.name for path in folders if f"`srcsep_core/{path.name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_their_options_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    for name, rest in re.findall(r"(?:`|^ +|/)srcsep ([a-z]+)([^`\n#]*)", text, flags=re.MULTILINE):
        command = main.commands.get(name)
        if isinstance(command, click.Group):
            below, _, rest = rest.strip().partition(" ")
            command = command.commands.get(below)
        assert command is not None and not command.hidden, name
        options = {option for given in command.params if isinstance(given, click.Option) for option in given.opts}
        assert {option for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest)} <= options, (name, rest)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:`|^ +)make ([a-z]+)", text, flags=re.MULTILINE)) <= targets


@pytest.mark.slow
def test_prior_in_code_runs(cache_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "running.md").read_text(), flags=re.DOTALL)
    exec(code, {})
    printed = capsys.readouterr().out
    own, other = (float(value) for value in re.findall(r"signals +(-?\d+\.\d+) nats/sample", printed))
    assert own > other
    assert "torch.Size([1, 1, 1024])" in printed
