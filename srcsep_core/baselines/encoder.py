"""The encoder that priors teach as a separator: the means of its posteriors, in one pass.

It has never seen what a mix is made of. `scripts/amortised.py` measures it beside the samplers whose priors taught it.
"""

from __future__ import annotations

from srcsep_core.baselines.base import Given, Method, register
from srcsep_core.posteriors.separator import VariationalSeparator
from srcsep_core.priors.encoder import ENCODER, EncoderSet


def _trained(given: Given) -> VariationalSeparator:
    assert isinstance(given.trained, EncoderSet)
    return VariationalSeparator({}, given.trained)


register(Method(ENCODER.name, "single sources", _trained, model=ENCODER.name, apart=True))
