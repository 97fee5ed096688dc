"""The claims ledger on made-up tables: every verdict turns where its rule says, and its number is the deciding cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from srcsep_core.claims import Claim, Results, ledger
from srcsep_core.claims.measures import (
    AS_RELEASED,
    FAILS,
    FLOW,
    HOLDS,
    UNDECIDED,
    WAVENET,
    Number,
    discrimination_rows,
    facts_of,
    least_fall,
    margins,
    mean,
    short,
    worst,
)
from srcsep_core.config import SOURCES
from srcsep_core.results import FACTS, select

LEVELS = (0.01, 0.027, 0.077, 0.359)
DATA_NOISE = (0.0, 0.05, 0.1, 0.3)
LENGTH, LONG = 4000, 16_384
TABLES = ("likelihood", "discrimination", "noise", "constant", "random")

# Made-up tables. Every value is one that the rules call good: the sets discriminate, the likelihood falls off a cliff.


def facts(case: tuple[str, str, str], sigma: float) -> dict[str, Any]:
    """The columns of one of the paper's own sets of priors, or of the oracle."""
    model, _, objective = case
    noise = {"released": "released", "exact": "thesis", "": ""}[objective]
    training = f"fine-tuned, {noise} noise" if sigma else "noise-free"
    training = "" if model == "oracle" else training
    return facts_of(case) | {"training": training, "dataset": "toy", "variant": "released", "prior_sigma": sigma}


def sets() -> Iterator[dict[str, Any]]:
    """Every set of priors: flow and WaveNet under both protocols, the oracle with noise alone."""
    cases = dict.fromkeys([*FLOW.values(), *WAVENET.values()])
    for case, sigma in product(cases, (0.0, *LEVELS)):
        if sigma or case[0] != "oracle":
            yield facts(case, sigma)


def described(value: float, width: float = 0.5) -> dict[str, float]:
    """The summary of a cell around `value`, whose 5 % quantile lies 1 below it."""
    ends = {"q05": value - 1, "q95": value + 1, "median_low": value - width, "median_high": value + width}
    return {"mean": value, "median": value} | ends


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A table whose cells each rest on a number of signals of their own, by which they are known."""
    table = pd.DataFrame(rows).assign(n=range(100, 100 + len(rows)))
    return table[[*FACTS, *table.columns.drop(FACTS)]]


def likelihood() -> pd.DataFrame:
    """Clean signals of the own source at 4, of others at -4."""
    return frame(
        [
            about
            | {"data_sigma": 0.0, "amplitude": "released", "length": LENGTH, "source": source, "prior": prior}
            | described(4.0 if source == prior else -4.0)
            for about, source, prior in product(sets(), SOURCES, SOURCES)
        ]
    )


def discrimination() -> pd.DataFrame:
    """AUROC 0.99, accuracy 0.95."""
    rows = []
    for about, source, prior in product(sets(), SOURCES, SOURCES):
        found = {"auroc": math.nan, "auroc_low": math.nan, "auroc_high": math.nan} | {"accuracy": 0.95}
        found |= {"accuracy_low": 0.93, "accuracy_high": 0.97}
        if source != prior:
            found = dict.fromkeys(found, math.nan) | {"auroc": 0.99, "auroc_low": 0.98, "auroc_high": 0.995}
        for data_sigma in dict.fromkeys((0.0, about["prior_sigma"])):
            signals = {"data_sigma": data_sigma, "amplitude": "released", "length": LENGTH, "ratio": False}
            rows.append(about | signals | {"source": source, "prior": prior} | found)
    return frame(rows)


def noise() -> pd.DataFrame:
    """4 without noise, and 1000 lower per unit of it."""
    return frame(
        [
            about | {"length": LENGTH, "prior": prior, "data_sigma": data} | described(4 - 1000 * data)
            for about, prior, data in product(sets(), SOURCES, DATA_NOISE)
        ]
    )


def inputs(column: str, levels: tuple[float, ...], value: float) -> pd.DataFrame:
    return frame(
        [
            about | {"length": 2 * LENGTH, "prior": prior, column: level} | described(value)
            for about, prior, level in product(sets(), SOURCES, levels)
        ]
    )


@pytest.fixture(scope="module")
def base() -> Results:
    """The paper's own sets and the oracle alone."""
    return Results(
        likelihood=likelihood(),
        discrimination=discrimination(),
        noise=noise(),
        constant=inputs("level", (-1.0, 0.0, 1.0), 5.0),
        random=inputs("input_sigma", (0.1, 0.5), -20.0),
    )


def put(results: Results, table: str, where: dict[str, Any], **values: float) -> Results:
    """The results with other values in the rows of one table that `where` selects."""
    changed = getattr(results, table).copy()
    chosen = select(changed, **where).index
    assert len(chosen), f"no row of {table} is {where}"
    for column, value in values.items():
        changed.loc[chosen, column] = value
    return replace(results, **{table: changed})


def without(results: Results, **where: Any) -> Results:
    """The results less the rows that `where` selects, in every table."""
    tables = {name: getattr(results, name) for name in TABLES}
    return Results(**{name: table.drop(select(table, **where).index) for name, table in tables.items()})


def row(claims: pd.DataFrame, phrase: str) -> pd.Series:
    """The one claim with a phrase."""
    (found,) = [r for _, r in claims.iterrows() if phrase in r["claim"]]
    return found


# What decides every claim: how to make it hold under one protocol, and how to make it fail


@dataclass(frozen=True)
class Rule:
    """A phrase of the claim, how to put a condition under a protocol, and the name of the deciding number."""

    phrase: str
    put: Callable[[Results, str, bool], Results]
    number: str


def discriminating(cases: dict[str, tuple[str, str, str]], positive: bool) -> Callable[[Results, str, bool], Results]:
    def condition(results: Results, protocol: str, held: bool) -> Results:
        where = facts(cases[protocol], 0.0) | {"data_sigma": 0.0, "source": "saw", "prior": "saw"}
        value = 0.91 if held == positive else 0.5
        return put(
            results, "discrimination", where, accuracy=value, accuracy_low=value - 0.1, accuracy_high=value + 0.05
        )

    return condition


def peaked(results: Results, protocol: str, held: bool) -> Results:
    where = facts(FLOW[protocol], 0.0) | {"data_sigma": 0.05, "prior": "saw"}
    return put(results, "noise", where, **described(-8 if held else 3))


def destroyed(sigma: float) -> Callable[[Results, str, bool], Results]:
    def condition(results: Results, protocol: str, held: bool) -> Results:
        where = facts(FLOW[protocol], sigma) | {"data_sigma": sigma}
        good = {"auroc": 0.99, "auroc_low": 0.98, "auroc_high": 0.995}
        return put(results, "discrimination", where, **({name: v - 0.3 for name, v in good.items()} if held else good))

    return condition


def zero_likely(results: Results, protocol: str, held: bool) -> Results:
    where = facts(FLOW[protocol], 0.0) | {"level": 0.0, "prior": "square"}
    return put(results, "constant", where, **described(2.9 if held else 3.1))


def zero_changes(results: Results, protocol: str, held: bool) -> Results:
    signs = {"sine": -1, "square": 1, "saw": 1, "triangle": -1} | ({} if held else {"saw": -1})
    for prior, sign in signs.items():
        where = facts(FLOW[protocol], 0.359) | {"level": 0.0, "prior": prior}
        results = put(results, "constant", where, **described(5 + 0.1 * sign))
    return results


def noise_unlikely(results: Results, protocol: str, held: bool) -> Results:
    where = facts(FLOW[protocol], 0.0) | {"input_sigma": 0.5, "prior": "triangle"}
    return put(results, "random", where, **described(-7.1 if held else -6.9))  # 10 below the quantile 3


def noise_likely(results: Results, protocol: str, held: bool) -> Results:
    for prior, value in {"sine": 3.1 if held else 2.9, "saw": 3.2}.items():
        where = facts(FLOW[protocol], 0.359) | {"input_sigma": 0.5, "prior": prior}
        results = put(results, "random", where, **described(value))
    return results


def beyond_level(results: Results, protocol: str, held: bool) -> Results:
    where = facts(FLOW[protocol], 0.077) | {"data_sigma": 0.1, "prior": "square"}
    return put(results, "noise", where, **described(3.1 if held else 2.9))  # from 4 without noise


RULES = [
    Rule("flow priors are discriminative without noise", discriminating(FLOW, True), "worst accuracy, exact"),
    Rule("WaveNet priors are not discriminative", discriminating(WAVENET, False), "worst accuracy, exact"),
    Rule("extremely peaked", peaked, "least fall, exact"),
    Rule("already at the smallest level, sigma 0.01", destroyed(0.01), "mean AUROC, exact"),
    Rule("at the widest level, sigma 0.359", destroyed(0.359), "mean AUROC, exact"),
    Rule("zero input is highly likely", zero_likely, "margin under square, exact"),
    Rule("Fine-tuning at sigma 0.359 makes zero less likely", zero_changes, "signs as printed, exact"),
    Rule("N(0, 0.5) is highly unlikely under noise-free", noise_unlikely, "margin under triangle, exact"),
    Rule("conditioned on sigma 0.359 find noise", noise_likely, "margin under sine, exact"),
    Rule("Noise beyond the level", beyond_level, "least fall, exact"),
]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.put.__qualname__.split(".")[0])
LIKELIHOOD = "numbers printed as log-likelihoods are log-likelihoods"


@each_rule
@pytest.mark.parametrize(
    ("released", "exact", "expected"),
    [(True, True, HOLDS), (False, True, HOLDS), (True, False, AS_RELEASED), (False, False, FAILS)],
)
def test_verdict_turns_where_its_rule_says(
    rule: Rule, released: bool, exact: bool, expected: str, base: Results
) -> None:
    results = rule.put(rule.put(base, "released", released), "exact", exact)
    found = row(ledger(results), rule.phrase)
    assert found["verdict"] == expected
    assert found["number"] == rule.number


@pytest.mark.parametrize("cell", ["accuracy", "auroc"])
@pytest.mark.parametrize(("value", "verdict"), [(0.9, HOLDS), (0.899, FAILS)])
def test_a_set_discriminates_if_its_worst_auroc_and_accuracy_reach_nine_tenths(
    cell: str, value: float, verdict: str, base: Results
) -> None:
    pair = {"source": "sine", "prior": "sine" if cell == "accuracy" else "saw"}
    for protocol in ("released", "exact"):
        base = put(base, "discrimination", facts(FLOW[protocol], 0.0) | {"data_sigma": 0.0} | pair, **{cell: value})
    found = row(ledger(base), "flow priors are discriminative")
    assert found["verdict"] == verdict
    assert f"{'worst accuracy' if cell == 'accuracy' else 'worst AUROC'} {value:g} [" in found["exact"]


@pytest.mark.parametrize("value", ["auroc", "accuracy"])
def test_discrimination_is_lost_if_the_mean_of_either_is_below_nine_tenths(value: str, base: Results) -> None:
    where = facts(FLOW["exact"], 0.359) | {"data_sigma": 0.359}
    phrase = "at the widest level"
    assert row(ledger(put(base, "discrimination", where, **{value: 0.9})), phrase)["verdict"] == FAILS
    assert row(ledger(put(base, "discrimination", where, **{value: 0.899})), phrase)["verdict"] == HOLDS
    clean = put(base, "discrimination", where | {"data_sigma": 0.0}, **{value: 0.1})
    assert row(ledger(clean), phrase)["verdict"] == FAILS, "clean signals do not decide"


def test_peakedness_is_decided_by_the_lower_end_of_the_least_fall(base: Results) -> None:
    for low, verdict in ((10.1, HOLDS), (9.9, FAILS)):
        results = base
        for protocol in ("released", "exact"):
            where = facts(FLOW[protocol], 0.0) | {"data_sigma": 0.05, "prior": "sine"}
            # The median falls from 4, at least 3.5, to -16, at most 3.5 - low.
            results = put(results, "noise", where, median=-16, median_low=-20, median_high=3.5 - low)
        found = row(ledger(results), "extremely peaked")
        assert (found["verdict"], found["value"], found["low"]) == (verdict, 20, pytest.approx(low))
        assert found["high"] == pytest.approx(4.5 + 20)


@pytest.mark.parametrize("prior", ["sine", "saw", "triangle"])
def test_zero_must_be_likely_under_every_other_prior_than_square(prior: str, base: Results) -> None:
    for protocol in ("released", "exact"):
        base = zero_likely(base, protocol, True)
    assert row(ledger(base), "zero input")["verdict"] == HOLDS
    where = facts(FLOW["exact"], 0.0) | {"level": 0.0, "prior": prior}
    assert row(ledger(put(base, "constant", where, median=2.9)), "zero input")["verdict"] == AS_RELEASED


@pytest.mark.parametrize("prior", SOURCES)
def test_every_sign_of_the_four_changes_counts(prior: str, base: Results) -> None:
    for protocol in ("released", "exact"):
        base = zero_changes(base, protocol, True)
    where = facts(FLOW["exact"], 0.359) | {"level": 0.0, "prior": prior}
    value = 10 - float(select(base.constant, **where)["median"].iloc[0])  # as far on the other side of 5
    found = row(ledger(put(base, "constant", where, median=value)), "makes zero less likely")
    assert (found["verdict"], found["value"], found["n"]) == (AS_RELEASED, 3, 4)
    assert "(3 of 4 signs as printed)" in found["exact"] and "(4 of 4 signs as printed)" in found["released"]


def test_noise_must_be_likely_under_sine_and_saw_alone(base: Results) -> None:
    for protocol in ("released", "exact"):
        base = noise_likely(base, protocol, True)
    found = row(ledger(base), "find noise N(0, 0.5) as likely")
    assert found["verdict"] == HOLDS, "noise is unlikely under square and triangle, which does not matter"
    where = facts(FLOW["exact"], 0.359) | {"input_sigma": 0.5, "prior": "saw"}
    assert row(ledger(put(base, "random", where, median=2.9)), "find noise")["verdict"] == AS_RELEASED


def test_pair_of_levels_is_the_widest_and_the_greatest_noise_if_there_is_no_printed_one(base: Results) -> None:
    for sigma in (0.027, 0.077):
        base = without(base, prior_sigma=sigma)
    found = row(ledger(base), "Noise beyond the level")
    assert found["verdict"] == FAILS
    assert found["exact"] == "prior 0.359, data 0.3: least fall 300 [299, 301]"


# The likelihood that is none


def best_at_noise(results: Results, protocol: str, value: float) -> Results:
    """The largest mean at noise 0.3 under one protocol is `value`, under saw at sigma 0.077."""
    results = put(results, "noise", facts_of(FLOW[protocol]) | {"data_sigma": 0.3}, **described(-5.0))
    where = facts(FLOW[protocol], 0.077) | {"data_sigma": 0.3, "prior": "saw"}
    return put(results, "noise", where, **(described(value) | {"median": value - 0.1}))


@pytest.mark.parametrize(
    ("released", "exact", "expected"),
    [
        (3.8, -0.216, FAILS),
        (-0.214, -0.216, FAILS),
        (-0.216, -0.216, UNDECIDED),
        (3.8, -0.214, UNDECIDED),
        (-0.216, -0.214, UNDECIDED),
    ],
)
def test_likelihoods_are_none_if_released_alone_exceeds_the_bound(
    released: float, exact: float, expected: str, base: Results
) -> None:
    results = best_at_noise(best_at_noise(base, "released", released), "exact", exact)
    found = row(ledger(results), LIKELIHOOD)
    assert found["verdict"] == expected
    assert found["released"] == f"up to {released:g} at noise 0.3"
    cell = select(results.noise, **facts(FLOW["exact"], 0.077), data_sigma=0.3, prior="saw").iloc[0]
    assert [found[name] for name in ("value", "low", "high", "n")] == [
        cell[name] for name in ("median", "median_low", "median_high", "n")
    ]
    assert found["value"] == pytest.approx(exact - 0.1)


def test_bound_is_the_negative_entropy_of_the_noise(base: Results) -> None:
    bound = -float(stats.norm(scale=0.3).entropy())
    assert f"{bound:.3f}" == "-0.215"
    assert "noise 0.3 can exceed -0.215 nats/sample" in row(ledger(base), LIKELIHOOD)["why"]
    for exact, expected in ((bound - 1e-6, FAILS), (bound + 1e-6, UNDECIDED)):
        results = best_at_noise(best_at_noise(base, "released", 1.0), "exact", exact)
        assert row(ledger(results), LIKELIHOOD)["verdict"] == expected


def test_bound_holds_at_every_length(base: Results) -> None:
    results = best_at_noise(best_at_noise(base, "released", 1.0), "exact", -1.0)
    long = select(results.noise, **facts(FLOW["exact"], 0.359), data_sigma=0.3).assign(length=LONG, mean=1.0)
    assert row(ledger(results), LIKELIHOOD)["verdict"] == FAILS
    longer = replace(results, noise=pd.concat([results.noise, long], ignore_index=True))
    assert row(ledger(longer), LIKELIHOOD)["verdict"] == UNDECIDED


# The number that decides


def number(found: pd.Series) -> list[float]:
    return [found[name] for name in ("value", "low", "high", "n")]


@pytest.mark.parametrize("cases", [FLOW, WAVENET], ids=["flow", "wavenet"])
def test_number_of_a_set_is_its_worst_source(cases: dict[str, tuple[str, str, str]], base: Results) -> None:
    where = facts(cases["exact"], 0.0) | {"data_sigma": 0.0, "source": "square", "prior": "square"}
    results = put(base, "discrimination", where, accuracy=0.3, accuracy_low=0.2, accuracy_high=0.45)
    phrase = "flow priors are discriminative" if cases is FLOW else "WaveNet priors are not"
    (cell,) = select(results.discrimination, **where)["n"]
    assert number(row(ledger(results), phrase)) == [0.3, 0.2, 0.45, cell]


def test_number_of_lost_discrimination_is_the_mean_over_pairs(base: Results) -> None:
    where = facts(FLOW["exact"], 0.01) | {"data_sigma": 0.01}
    results = put(base, "discrimination", where | {"source": "sine", "prior": "saw"}, auroc=0.39)
    pairs = select(results.discrimination, **where).dropna(subset="auroc")
    value, low, high, n = number(row(ledger(results), "already at the smallest level"))
    assert value == pytest.approx((11 * 0.99 + 0.39) / 12)
    assert n == pairs["n"].min()
    assert low == pytest.approx(value - math.sqrt(11 * 0.01**2 + (0.98 - 0.39) ** 2) / 12)
    assert high == pytest.approx(value + math.sqrt(11 * 0.005**2 + (0.995 - 0.39) ** 2) / 12)


@pytest.mark.parametrize(
    ("phrase", "sigma", "noise_level"), [("extremely peaked", 0.0, 0.05), ("Noise beyond the level", 0.077, 0.1)]
)
def test_number_of_a_fall_is_the_source_that_falls_least(
    phrase: str, sigma: float, noise_level: float, base: Results
) -> None:
    where = facts(FLOW["exact"], sigma) | {"prior": "triangle"}
    results = put(base, "noise", where | {"data_sigma": noise_level}, median=1, median_low=0.5, median_high=1.75)
    (cell,) = select(results.noise, **where, data_sigma=0.0)["n"]
    assert number(row(ledger(results), phrase)) == pytest.approx([3, 3.5 - 1.75, 4.5 - 0.5, cell])


@pytest.mark.parametrize(
    ("phrase", "table", "sigma", "prior", "column"),
    [
        ("zero input", "constant", 0.0, "square", {"level": 0.0}),
        ("highly unlikely", "random", 0.0, "saw", {"input_sigma": 0.5}),
        ("find noise", "random", 0.359, "sine", {"input_sigma": 0.5}),
    ],
)
def test_number_of_an_input_is_its_distance_from_the_quantile_of_the_class(
    phrase: str, table: str, sigma: float, prior: str, column: dict[str, float], base: Results
) -> None:
    about = facts(FLOW["exact"], sigma) | {"prior": prior}
    results = put(base, "likelihood", about | {"source": prior}, q05=1.25)
    results = put(results, table, about | column, median=-2, median_low=-3, median_high=-1.5)
    (cell,) = select(getattr(results, table), **about, **column)["n"]
    found = row(ledger(results), phrase)
    assert number(found) == [-3.25, -4.25, -2.75, cell]
    assert found["number"] == f"margin under {prior}, exact"


# The table


def test_ledger_has_one_row_a_claim_and_the_fields_of_a_claim(base: Results) -> None:
    claims = ledger(base)
    assert list(claims) == [
        "claim",
        "printed",
        "released",
        "exact",
        "oracle",
        "verdict",
        "why",
        "number",
        "value",
        "low",
        "high",
        "n",
        "command",
    ]
    phrases = [*(rule.phrase for rule in RULES), LIKELIHOOD, "musdb18", "Langevin"]
    assert len(claims) == claims["claim"].nunique() == len(phrases) == 13
    assert len({row(claims, phrase)["claim"] for phrase in phrases}) == len(phrases)
    assert set(claims["verdict"]) <= {HOLDS, AS_RELEASED, FAILS, UNDECIDED}
    assert (claims["why"] != "").all() and (claims["printed"] != "").all()
    assert set(claims["command"]) == {"srcsep notebooks 11"}
    decided = claims[claims["number"] != ""]
    assert (decided["n"] > 0).all() and decided[["value", "low", "high"]].notna().all(axis=None)
    assert ((decided["low"] <= decided["value"]) & (decided["value"] <= decided["high"])).all()


@pytest.mark.parametrize("phrase", ["musdb18 priors do not discriminate", "Langevin separation"])
def test_what_is_not_measured_is_undecided_with_a_reason(phrase: str, base: Results) -> None:
    found = row(ledger(base), phrase)
    assert found["verdict"] == UNDECIDED
    assert "part of this release yet" in found["why"]
    assert found[["released", "exact", "oracle", "number"]].tolist() == ["", "", "", ""]
    assert np.isnan(found["value"]) and found["n"] == 0


def test_missing_oracle_rows_are_dashes(base: Results) -> None:
    for rule in RULES:
        base = rule.put(rule.put(base, "released", True), "exact", False)
    full, claims = ledger(base), ledger(without(base, model="oracle"))
    assert (full["verdict"] == AS_RELEASED).sum() == len(RULES)
    columns = [name for name in full if name != "oracle"]
    pd.testing.assert_frame_equal(claims[columns], full[columns])
    sigma = " (sigma 0.01)"
    assert row(claims, "flow priors are")["oracle"] == f"worst AUROC -, worst accuracy -{sigma}"
    assert row(claims, "extremely peaked")["oracle"] == "at sigma 0.01: least fall - nats/sample"
    assert row(claims, "at the widest level")["oracle"] == "mean AUROC -, accuracy - (clean signals: AUROC -)"
    assert row(claims, "find noise")["oracle"] == "against the class' 5 % quantile: - nats/sample"
    assert row(claims, "Noise beyond")["oracle"] == (
        "prior 0.027, data 0.05: least fall -, prior 0.077, data 0.1: least fall -"
    )
    assert row(claims, LIKELIHOOD)["oracle"] == "up to - at noise 0.3"
    for phrase in ("zero input", "makes zero", "highly unlikely"):
        assert row(claims, phrase)["oracle"] == row(full, phrase)["oracle"] == "no density without noise"


def test_oracle_is_shown_at_the_smallest_level(base: Results) -> None:
    where = facts(FLOW["oracle"], 0.01) | {"data_sigma": 0.01, "source": "saw", "prior": "saw"}
    results = put(base, "discrimination", where, accuracy=0.7, accuracy_low=0.6, accuracy_high=0.8)
    for phrase in ("flow priors are discriminative", "WaveNet priors are not"):
        found = row(ledger(results), phrase)
        assert found["oracle"] == "worst AUROC 0.99 [0.98, 0.995], worst accuracy 0.7 [0.6, 0.8] (sigma 0.01)"


def with_others(results: Results, value: float) -> Results:
    """The results with rows about other sets and signals as well, all of whose numbers are `value`."""
    changes: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for name in TABLES:
        changes[name] += [{"training": "conditional"}, {"training": "scratch, thesis noise"}, {"model": "another"}]
        changes[name] += [{"protocol": "released", "objective": "exact"}, {"length": LONG}]
    for name in ("likelihood", "discrimination"):
        changes[name] += [{"amplitude": "training"}, {"data_sigma": 0.123}]
    changes["discrimination"] += [{"ratio": True}]
    changes["constant"] += [{"level": 0.4}]
    changes["random"] += [{"input_sigma": 0.7}]
    swapped = {"exact": "fine-tuned, released noise", "released": "fine-tuned, thesis noise"}
    tables = {}
    for name in TABLES:
        table = getattr(results, name).copy()
        numbers = [c for c in table if c.startswith(("mean", "median", "q", "auroc", "accuracy"))]
        trained = table[table["model"] != "oracle"]
        if name == "noise":  # the bound is for every length
            trained = trained[trained["data_sigma"] < 0.3]
        tuned = trained[trained["prior_sigma"] > 0]
        others = [tuned.assign(training=tuned["objective"].map(swapped))]
        others += [trained.assign(**change) for change in changes[name]]
        if name != "discrimination":  # no claim is about the likelihood of a WaveNet
            table.loc[table["model"] == "wavenet", numbers] = value
        poisoned = pd.concat(others).assign(**dict.fromkeys(numbers, value))
        tables[name] = pd.concat([poisoned, table], ignore_index=True)
    return Results(**tables)


@pytest.mark.parametrize("value", [-1e6, 1e6])
def test_other_sets_and_signals_do_not_matter(value: float, base: Results) -> None:
    pd.testing.assert_frame_equal(ledger(with_others(base, value)), ledger(base))


def test_smallest_and_widest_level_are_those_of_the_tables(base: Results) -> None:
    for sigma in (0.01, 0.359):
        base = without(base, prior_sigma=sigma)
    claims = ledger(base)
    assert row(claims, "already at the smallest level, sigma 0.027")["verdict"] == FAILS
    assert row(claims, "at the widest level, sigma 0.077")["verdict"] == FAILS
    assert "sigma 0.077" in row(claims, "makes zero less likely")["claim"]


# Measures


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Number(0.91234, 0.9, 0.95, 12), "0.912 [0.9, 0.95]"),
        (Number(0.0, 0.0, 0.0, 12), "0"),
        (Number(-12345.0, -2e4, -999.0, 3), "-1.2e+04 [-2.0e+04, -999]"),
        (Number(math.nan, math.nan, math.nan, 0), "-"),
        (Number(-math.inf, -math.inf, 0.0, 1), "-"),
        (Number(3.0, 2.0, math.inf, 1), "3 [2, -]"),
    ],
)
def test_number_in_words(found: Number, text: str) -> None:
    assert str(found) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.123"), (-123.4, "-123"), (1234.5, "1.2e+03"), (math.nan, "-"), (math.inf, "-")]
)
def test_three_digits_or_a_power_of_ten(value: float, text: str) -> None:
    assert short(value) == text


def cells(values: list[float], n: list[int]) -> pd.DataFrame:
    table = pd.DataFrame({"auroc": values, "n": n})
    return table.assign(auroc_low=table["auroc"] - 0.1, auroc_high=table["auroc"] + 0.05)


def test_worst_is_the_smallest_cell_with_its_interval() -> None:
    found = worst(cells([0.9, math.nan, 0.4, 0.8], [10, 20, 30, 40]), "auroc")
    assert [found.value, found.low, found.high, found.n] == pytest.approx([0.4, 0.3, 0.45, 30])


def test_mean_adds_the_errors_of_its_cells_as_independent() -> None:
    found = mean(cells([0.5, 0.7, math.nan, 0.6, 0.6], [50, 40, 1, 60, 60]), "auroc")
    assert [found.value, found.low, found.high, found.n] == pytest.approx([0.6, 0.6 - 0.05, 0.6 + 0.025, 40])
    assert mean(cells([1.0, 1.0], [5, 5]), "auroc").high == 1, "no AUROC or accuracy is above 1"


@pytest.mark.parametrize("measure", [worst, mean])
def test_measure_of_nothing_is_a_dash(measure: Callable[[pd.DataFrame, str], Number]) -> None:
    for table in (cells([math.nan], [3]), cells([], [])):
        found = measure(table, "auroc")
        assert (str(found), found.n) == ("-", 0)


def test_rows_of_a_case_are_sixteen_at_the_released_length(base: Results) -> None:
    long = base.discrimination.assign(length=LONG)
    results = replace(base, discrimination=pd.concat([long, base.discrimination], ignore_index=True))
    for case, sigma in ((FLOW["exact"], 0.0), (WAVENET["released"], 0.077), (FLOW["oracle"], 0.359)):
        rows = discrimination_rows(results, case, sigma, 0.0)
        assert len(rows) == 16 and set(rows["length"]) == {LENGTH}
        assert set(rows["model"]) == {case[0]}
    assert discrimination_rows(results, FLOW["oracle"], 0.0, 0.0).empty


def test_fall_and_margins_of_nothing_are_dashes(base: Results) -> None:
    assert str(least_fall(base, FLOW["oracle"], 0.0, 0.0, 0.05)) == "-"
    assert str(least_fall(base, FLOW["exact"], 0.0, 0.0, 0.07)) == "-"
    nothing = margins(base, FLOW["oracle"], 0.0, base.constant, level=0.0)
    assert nothing.index.tolist() == list(SOURCES)
    assert nothing.isna().all(axis=None)


def test_margin_is_against_clean_signals_of_the_own_source(base: Results) -> None:
    found = margins(base, FLOW["exact"], 0.0, base.constant, level=0.0)
    assert found["value"].to_dict() == dict.fromkeys(SOURCES, 2.0)
    assert (found["low"].eq(1.5) & found["high"].eq(2.5)).all()


def test_a_claim_without_a_number_has_none() -> None:
    claim = Claim("claim", "printed", "a", "b", "c", HOLDS, "why")
    assert np.isnan([claim.value, claim.low, claim.high]).all() and claim.n == 0
