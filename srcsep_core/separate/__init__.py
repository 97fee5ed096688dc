"""Your own mix: from a recording to stems, a player page and a report, and the scoring of stems."""

from srcsep_core.separate.crew import Clock
from srcsep_core.separate.job import separate_audio, separate_file
from srcsep_core.separate.long import separate_long
from srcsep_core.separate.scoring import score_files
from srcsep_core.separate.searching import SearchConfig
from srcsep_core.separate.separated import Separated
from srcsep_core.separate.settings import SeparateConfig

__all__ = [
    "Clock",
    "SearchConfig",
    "SeparateConfig",
    "Separated",
    "score_files",
    "separate_audio",
    "separate_file",
    "separate_long",
]
