"""The README's two blocks that come from tables: headline numbers and claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from srcsep_core.audit.claims.measures import AS_RELEASED, UNDECIDED
from srcsep_core.benchmark.controls import LONG_CHAINS
from srcsep_core.benchmark.results import pairs_of
from srcsep_core.errors import InputError
from srcsep_core.paths import project_root
from srcsep_core.separate.calibration import detection

NUMBERS = (
    "<!-- numbers: written by `srcsep readme` from the tables named in it -->",
    "<!-- /numbers -->",
)
CLAIMS = ("<!-- claims: written by `srcsep readme` from figures/claims.csv -->", "<!-- /claims -->")
TABLES = (
    "data/measured/separation.csv",
    "figures/discrimination.csv",
    "data/measured/trust_toy.csv",
    "data/measured/separation_music.csv",
    "figures/claims.csv",
)
NOT_SETTLED = "not settled"

# Flows of other kinds than the paper's: told sigma, or trained at each level from fresh weights.
_OTHER_FLOWS = ("flow-wide", "flow-conditional", "flow-scratch")
_FOUR = "sine+square+saw+triangle"
_OF_VERDICTS = {
    "caught": "Wrong separations, distrusted",
    "false alarms": "Right separations, distrusted",
}

# Claims whose verdict awaits a rule: our own replica did not show what was printed, or the failure of small flows does
# not exclude larger ones, or the data are not yet those of the claim.
UNSETTLED = (
    "musdb18_discriminate",
    "wavenets_discriminate",
    "fine_tuning_destroys:0.01",
    "zero_changes",
    "noise_likely",
    "langevin_fails",
    "cannot_separate",
    "reproduces",
)


@dataclass(frozen=True)
class PlainClaim:
    """A claim of the ledger in plain words.

    `id` is that in figures/claims.csv; `measured` has places for the number that decides, its interval and
    n: {value}, {low}, {high}, {n}.
    """

    id: str
    words: str
    measured: str


PLAIN_CLAIMS = (
    PlainClaim(
        "flows_discriminate",
        "Flows trained without noise tell sources apart",
        "worst pair: AUROC {value:.2f} [{low:.2f}, {high:.2f}], n={n}",
    ),
    PlainClaim(
        "peaked",
        "Without noise, likelihood falls off a cliff",
        "at noise 0.05 by {value:.0f} [{low:.0f}, {high:.0f}] nats/sample or more, n={n}; so does the true density",
    ),
    PlainClaim(
        "fine_tuning_destroys:0.359",
        "Fine-tuning at noise 0.359 destroys discrimination",
        "accuracy {value:.2f} [{low:.2f}, {high:.2f}], n={n}; training afresh keeps it",
    ),
    PlainClaim(
        "is_likelihood",
        "The printed numbers are log-likelihoods",
        "at noise 0.3 up to 4.2 nats/sample printed, but no density averages above -0.215; ours: {value:.2f} "
        "[{low:.2f}, {high:.2f}], n={n}",
    ),
    PlainClaim(
        "cannot_separate",
        "Noise-conditional priors cannot separate",
        "small fine-tuned flows: {value:.0%} [{low:.0%}, {high:.0%}] of pairs, n={n}",
    ),
)
VERDICTS = ("holds", "does not hold", NOT_SETTLED, "undecided")


def numbers_block(
    separation: pd.DataFrame, discrimination: pd.DataFrame, trust: pd.DataFrame, music: pd.DataFrame
) -> str:
    """Markdown: the headline numbers, each with its interval, its n and its table.

    Raises `InputError` if a table lacks a row that one of them comes from.
    """
    known = _rows(separation, group=["known"], prior=["denoiser"], sources=[_FOUR])
    pairs = pairs_of(separation)
    pairs = pairs[pairs["control"].isna() | (pairs["control"] == LONG_CHAINS)]
    flows = pairs[
        pairs["prior"].str.startswith("flow-")
        & ~pairs["prior"].isin(_OTHER_FLOWS)
        & pairs["sampler"].isin(["gibbs", "langevin"])
    ]
    noise_free = _rows(
        discrimination,
        world=["toy"],
        model=["flowavenet"],
        objective=["likelihood"],
        protocol=["log_prob"],
        training=["noise-free"],
        data_sigma=[0.0],
        length=[4000],
        ratio=[False],
        amplitude=["evaluation"],
    ).dropna(subset="auroc")
    shares = (
        ("Four sources, denoiser, Gibbs sampling; 16 kHz, any pitch", _rows(known, variant=["uniform_hz"])),
        ("The same; whole periods", _rows(known, variant=["whole_periods"])),
        (
            "Pairs, true density, Langevin (the paper's), best of {settings} settings",
            _rows(pairs, prior=["oracle"], sampler=["langevin"]),
        ),
        ("Pairs, small flows of the paper's kind, best of {settings} settings", flows),
    )
    lines = ["| what | measured | n | table |", "|---|---|---|---|"]
    for what, rows in shares:
        best = _best(rows, "all_above_10db", "separation")
        share, low, high = (
            f"{100 * best[name]:.0f}" for name in ("all_above_10db", "all_above_10db_low", "all_above_10db_high")
        )
        what = what.format(settings=len(rows))
        lines.append(f"| {what} | {share}% [{low}, {high}] separated | {best['n_mixes']} | `separation.csv` |")
    worst = _best(noise_free.assign(negative=-noise_free["auroc"]), "negative", "discrimination")
    interval = f"[{worst['auroc_low']:.2f}, {worst['auroc_high']:.2f}]"
    lines.append(
        f"| Noise-free flows, worst pair told apart | AUROC {worst['auroc']:.2f} {interval} | {worst['n']} | "
        "`discrimination.csv` |"
    )
    for name, row in detection(trust).iterrows():
        share, low, high = (f"{100 * row[part]:.0f}" for part in ("share", "low", "high"))
        lines.append(f"| {_OF_VERDICTS[str(name)]} | {share}% [{low}, {high}] | {row['n']:.0f} | `trust_toy.csv` |")
    songs = _rows(music, split=["songs"], separator=["means"], source=["all"], sources=["any 2"])
    pairs_of_stems = _best(songs, "n_mixes", "separation_music")
    gained = "{si_sdri_mean:.1f} [{low:.1f}, {high:.1f}] dB".format(**pairs_of_stems)
    lines.append(
        f"| Pairs of stems, unseen rendered songs: mean SI-SDRi | {gained} | {pairs_of_stems['n_mixes']} | "
        "`separation_music.csv` |"
    )
    return "\n".join(lines)


def claims_block(claims: pd.DataFrame) -> str:
    """Markdown: `PLAIN_CLAIMS` with the number that decides and the verdict, and a count of all verdicts.

    Raises `InputError` if one of them is not in the table.
    """
    rows = [{str(name): value for name, value in row.items()} for row in claims.to_dict("records")]
    lines = ["| claim | verdict | measured |", "|---|---|---|"]
    for plain in PLAIN_CLAIMS:
        found = [row for row in rows if row.get("id") == plain.id]
        if len(found) != 1:
            raise InputError(f"figures/claims.csv has {len(found)} claims called {plain.id!r}; make it one")
        measured = plain.measured.format(**{name: found[0][name] for name in ("value", "low", "high", "n")})
        lines.append(f"| {plain.words} | **{shown_verdict(found[0])}** | {measured} |")
    verdicts = [shown_verdict(row) for row in rows]
    told = ", ".join(f"{name} {verdicts.count(name)}" for name in VERDICTS if name in verdicts)
    return "\n".join([*lines, "", f"Verdicts of all {len(rows)} claims: {told}."])


def shown_verdict(row: Mapping[str, Any]) -> str:
    """The verdict that the README shows: `NOT_SETTLED` where presets differ, or where `UNSETTLED` names the claim."""
    verdict = str(row["verdict"])
    if verdict == AS_RELEASED or row["id"] in UNSETTLED:
        return NOT_SETTLED
    return "undecided" if verdict == UNDECIDED else verdict


def update_readme(readme: Path | None = None, folder: Path | None = None) -> str:
    """The README's text with both blocks renewed, from `TABLES` as committed or, if given, all from one `folder`.

    Raises `InputError` if the README, a marker or a table is missing.
    """
    readme = readme or project_root() / "README.md"
    if not readme.exists():
        raise InputError(f"{readme} does not exist; run `srcsep readme` from a checkout of the project")
    text = readme.read_text()
    for marker in (*NUMBERS, *CLAIMS):
        if marker not in text:
            raise InputError(f"{readme} lacks the line {marker!r}; put it back")
    *measured, claims = (_table(folder / Path(name).name if folder else project_root() / name) for name in TABLES)
    text = _between(text, NUMBERS, numbers_block(*measured))
    return _between(text, CLAIMS, claims_block(claims))


def _table(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise InputError(f"{path} does not exist; restore it, or make it with `srcsep notebooks` or `srcsep benchmark`")
    return pd.read_csv(path)


def _between(text: str, markers: tuple[str, str], block: str) -> str:
    before, rest = text.split(markers[0], 1)
    _, after = rest.split(markers[1], 1)
    return f"{before}{markers[0]}\n{block}\n{markers[1]}{after}"


def _rows(table: pd.DataFrame, **wanted: Sequence[Any]) -> pd.DataFrame:
    """The rows whose columns hold one of the wanted values."""
    for column, values in wanted.items():
        table = table[table[column].isin(list(values))]
    return table


def _best(rows: pd.DataFrame, column: str, table: str) -> dict[str, Any]:
    """The first row with the largest value of a column."""
    if rows.empty:
        raise InputError(f"{table}.csv lacks rows that the README's numbers come from; make it anew")
    best = rows.sort_values(column, ascending=False, kind="stable").iloc[0]
    return {str(name): value for name, value in best.items()}
