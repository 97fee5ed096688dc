"""What a row of the table does otherwise than the plain setting: a token for code, and the words for people."""

from __future__ import annotations

ONE_CHAIN, NO_SWAPS, METROPOLIS = "one_chain", "no_swaps", "metropolis"
MEAN_CONSTRAINT, TRUE_START = "mean_constraint", "true_start"
SAME_CLASS, GAINS_IGNORED, GAINS_ESTIMATED = "same_class", "gains_ignored", "gains_estimated"
FLOW_SETTINGS, LADDER, NO_EXCHANGES, LONG_CHAINS = "flow_settings", "ladder", "no_exchanges", "long_chains"
NOISE, SOURCES, LEVELS = "noise", "sources", "levels"
FAULTY = (MEAN_CONSTRAINT, TRUE_START)  # as printed, or as the authors' code has it

_WORDS = {
    ONE_CHAIN: "no swaps, one chain",
    NO_SWAPS: "no swaps, up to four chains",
    METROPOLIS: "metropolis swaps",
    MEAN_CONSTRAINT: "constraint on the mean, as printed",
    TRUE_START: "starts at the truth",
    SAME_CLASS: "same class twice",
    GAINS_IGNORED: "gains 0.25 to 1, taken as 1",
    GAINS_ESTIMATED: "gains 0.25 to 1, estimated",
    FLOW_SETTINGS: "set as for the fine-tuned flows",
    LADDER: "through the ladder",
    NO_EXCHANGES: "no exchanges",
    LONG_CHAINS: "long chains",
    NOISE: "noise of sigma {} on the sum",
    SOURCES: "{} sources",
    LEVELS: "{} levels",
}


def control(name: str, value: float) -> str:
    """The token of a control with a number, such as `noise:0.1`."""
    return f"{name}:{value:g}"


def words(token: str) -> str:
    """What a control says to people; nothing for the plain setting. Raises `KeyError` for a token that is none."""
    name, _, value = token.partition(":")
    return _WORDS[name].format(value) if token else ""
