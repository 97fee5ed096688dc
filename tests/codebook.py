"""Priors that can be summed over: a toy source of amplitude 0.9 with a period of a few whole numbers of samples."""

from collections.abc import Sequence

import torch
from torch import Tensor

from srcsep_core.data.toy import ToyWorld, waveform
from srcsep_core.separate.separators import SourcePriors

PERIODS = (7, 10, 13, 18)
WINDOW, RATE = 64, 16_000


class Codebook:
    """The mixture of all phases of all periods, in equal parts: denoising and posterior draws are exact."""

    def __init__(self, source: str) -> None:
        self.atoms = torch.cat([codebook_wave(source, period, WINDOW, start)[None] for period, start in places()])

    def log_weights(self, x: Tensor, sigma: float) -> Tensor:
        """Of every atom given noisy signals (B, 1, T): (B, M)."""
        return -torch.cdist(x[:, 0].double(), self.atoms.double()).square() / (2 * sigma**2)

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        mean = self.log_weights(x, sigma).softmax(dim=1) @ self.atoms.double()
        return mean[:, None].to(x.dtype)

    def posterior_sample(self, x: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
        chosen = torch.multinomial(self.log_weights(x, sigma).softmax(dim=1), 1, generator=generator)[:, 0]
        return self.atoms[chosen][:, None].to(x.dtype)

    def sample(self, shape: tuple[int, int, int], generator: torch.Generator | None = None) -> Tensor:
        chosen = torch.randint(len(self.atoms), (shape[0],), generator=generator)
        return self.atoms[chosen][:, None]


def places() -> list[tuple[int, int]]:
    """Every period with every start."""
    return [(period, start) for period in PERIODS for start in range(period)]


def codebook_wave(source: str, period: int, length: int, start: int = 0) -> Tensor:
    """A signal (T,) that the prior of `source` knows in every window."""
    cycles = (torch.arange(length, dtype=torch.float64) + start) / period
    return (0.9 * waveform(source, cycles + 1e-9)).float()


def codebook_priors(sources: Sequence[str] = ("sine", "square", "saw", "triangle")) -> SourcePriors:
    """One for every source."""
    known = {source: Codebook(source) for source in sources}
    return SourcePriors(WINDOW, RATE, ToyWorld().typical_rms, by_source=known, key="codebook")
