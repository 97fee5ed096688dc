"""What a set of priors can tell apart: cross-likelihood, AUROC and argmax accuracy with intervals.

Everything starts from one table of single values, `likelihood_table`: how likely is signal i of source s
under prior p, in nats/sample. The summaries are the rows of `figures/cross_likelihood.csv` and
`figures/discrimination.csv`. Scores, typicality, artificial inputs and noise windows are in `scores`,
`typicality`, `inputs` and `windows`.
"""

from srcsep_core.diagnostics.discrimination import CONFIDENCE, RESAMPLES, auroc, discriminate, interval, summarise
from srcsep_core.diagnostics.inputs import (
    CONSTANT_LEVELS,
    DATA_SIGMAS,
    RANDOM_SIGMAS,
    constant_table,
    random_table,
)
from srcsep_core.diagnostics.likelihood import (
    file_likelihood,
    likelihood_table,
    noise_curve_table,
    protocol_values,
    protocols_of,
    single,
)
from srcsep_core.priors.sets import PROTOCOLS

__all__ = [
    "CONFIDENCE",
    "CONSTANT_LEVELS",
    "DATA_SIGMAS",
    "PROTOCOLS",
    "RANDOM_SIGMAS",
    "RESAMPLES",
    "auroc",
    "constant_table",
    "discriminate",
    "file_likelihood",
    "interval",
    "likelihood_table",
    "noise_curve_table",
    "protocol_values",
    "protocols_of",
    "random_table",
    "single",
    "summarise",
]
