"""Values of mixes as the step that separates them writes them, made up."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def values(si_sdr: Sequence[Sequence[float]], **columns: Any) -> pd.DataFrame:
    """Values by mix and source as a step writes them; the improvement is 5 dB more than the SI-SDR."""
    count = len(si_sdr[0])
    flat = [value for mix in si_sdr for value in mix]
    table = pd.DataFrame({"mix": np.repeat(range(len(si_sdr)), count), "k": list(range(count)) * len(si_sdr)})
    table = table.assign(si_sdr=flat, si_sdri=[value + 5 for value in flat], residual=0.5, chains_run=3)
    return table.assign(failure=["none" if value >= 10 else "other" for value in flat]).assign(**columns)
