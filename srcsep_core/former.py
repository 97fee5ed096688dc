"""What names were before, by what they name: whoever uses an old one is told the new one (`config.check_choice`)."""

from __future__ import annotations

from collections.abc import Mapping

FORMER: Mapping[str, Mapping[str, str]] = {
    "variant": {"paper": "uniform_hz", "thesis": "piano_keys", "released": "whole_periods"},
    "profile": {"paper": "full"},
    "model": {"score": "denoiser"},
    "prior": {
        "score": "denoiser",
        "flow-exact": "flow-likelihood",
        "flow-exact-tuned": "flow-likelihood-tuned",
        "flow-released": "flow-quarter_log_det",
        "flow-released-tuned": "flow-quarter_log_det-tuned",
    },
    "sampler": {"langevin-released": "langevin-unconstrained"},
    "objective": {"exact": "likelihood", "released": "quarter_log_det for a flow and sigmoid for a WaveNet"},
    "output": {"exact": "softmax", "released": "sigmoid"},
    "protocol": {"exact": "log_prob", "released": "log_pz for a flow and mean_sigmoid for a WaveNet"},
    "noise": {"thesis": "gaussian", "released": "scaled_clamped"},
    "amplitude": {"released": "evaluation"},
    "step": {"score-prior": "denoiser-prior"},
}
