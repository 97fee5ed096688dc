"""Your own mix: from a recording to stems, a player page and a report, and the scoring of stems."""

from srcsep_core.separate.job import SeparateConfig, Separated, separate_audio, separate_file
from srcsep_core.separate.scoring import score_files
from srcsep_core.separate.searching import SearchConfig

__all__ = ["SearchConfig", "SeparateConfig", "Separated", "score_files", "separate_audio", "separate_file"]
