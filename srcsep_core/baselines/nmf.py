"""Supervised non-negative matrix factorisation of magnitude spectrograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from srcsep_core.baselines.base import Estimator, Given, Method, register
from srcsep_core.baselines.masks import HOP, WINDOW, magnitude_of, masked
from srcsep_core.checks import check_waveform
from srcsep_core.data.base import World
from srcsep_core.errors import InputError

SIGNALS, SEED = 200, 5  # of each class that dictionaries are learnt from
LONGEST = 32_768  # samples of a training signal: four seconds of a song


@dataclass(frozen=True)
class SupervisedNMF:
    """Supervised non-negative matrix factorisation: one dictionary of spectra a source class, learnt from its signals.

    Magnitude spectrograms, Kullback-Leibler divergence, multiplicative updates (Smaragdis, Raj & Shashanka 2007;
    Fevotte & Idier 2011), `components` spectra a class, `iterations` updates in learning and in separation. `fit`
    returns a fitted copy: `SupervisedNMF(components=60).fit(signals, names).separate(mix, names)`. The result is the
    same for the same signals and `seed`.
    """

    components: int = 60
    iterations: int = 100
    window: int = WINDOW
    hop: int = HOP
    seed: int = 0
    dictionaries: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in ("components", "iterations"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; use at least 1")

    def fit(self, signals: Mapping[str, Tensor] | Tensor, names: Sequence[str] | None = None) -> SupervisedNMF:
        """A copy with a dictionary (components, F) for each class, learnt from signals of that class alone.

        `signals` maps names to (N, T), or is one tensor (N, K, T) whose K classes are called `names`; a mapping is
        learnt whole unless `names` selects from it.

        Raises `InputError` for names that do not fit the signals, silence, NaN, infinity and signals shorter than the
        window.
        """
        from sklearn.decomposition import NMF

        dictionaries = {}
        for name, own in _by_name(signals, names).items():
            check_waveform(own[:, None] if own.ndim == 2 else own)
            frames = self._frames(magnitude_of(own.reshape(len(own), 1, -1), self.window, self.hop))
            if not frames.any():
                raise InputError(f"the training signals of {name!r} are silent; pass signals that sound")
            model = NMF(
                self.components,
                init="random",
                solver="mu",
                beta_loss="kullback-leibler",
                max_iter=self.iterations,
                tol=0.0,
                random_state=self.seed,
            )
            dictionaries[name] = model.fit(frames).components_
        return replace(self, dictionaries=dictionaries)

    def separate(self, mix: Tensor, names: Sequence[str]) -> Tensor:
        """Estimates (B, K, T) of the sources called `names` in the mix (B, 1, T).

        The dictionaries of the named classes stay fixed, their activations are solved for, and each source gets its
        share of the modelled magnitude in every bin of the STFT of the mix (a Wiener-like mask of exponent 1), with
        the phase of the mix. The mean over the sources is the mix.

        Raises `InputError` for a bad mix, for a class that was not learnt, and for a class named twice: its two
        sources would get the same estimate.
        """
        from sklearn.decomposition import non_negative_factorization

        check_waveform(mix)
        unknown = [name for name in names if name not in self.dictionaries]
        if unknown or not names:
            known = ", ".join(self.dictionaries) or "none, as fit was not called"
            raise InputError(f"there is no dictionary for {unknown or 'no names'}; classes learnt: {known}")
        if len(set(names)) < len(names):
            raise InputError(f"the sources {', '.join(names)} repeat a class; supervised NMF needs different classes")
        dictionary = np.concatenate([self.dictionaries[name] for name in names])
        magnitude = magnitude_of(mix, self.window, self.hop)
        activations, _, _ = non_negative_factorization(
            self._frames(magnitude),
            H=dictionary,
            n_components=len(dictionary),
            update_H=False,
            solver="mu",
            beta_loss="kullback-leibler",
            max_iter=self.iterations,
            tol=0.0,
        )
        batch, _, frequencies, frames = magnitude.shape
        modelled = [
            (activations[:, k * self.components : (k + 1) * self.components] @ self.dictionaries[name]).reshape(
                batch, frames, frequencies
            )
            for k, name in enumerate(names)
        ]
        weights = torch.from_numpy(np.stack(modelled, axis=1)).mT.to(magnitude)
        return masked(mix, weights, self.window, self.hop)

    @staticmethod
    def _frames(magnitude: Tensor) -> np.ndarray:
        """Magnitudes (B, 1, F, N) as one row a frame: (B * N, F), float64."""
        return magnitude[:, 0].mT.flatten(0, 1).detach().cpu().double().numpy()


def _by_name(signals: Mapping[str, Tensor] | Tensor, names: Sequence[str] | None) -> dict[str, Tensor]:
    """Training signals of every class."""
    if isinstance(signals, Tensor):
        if signals.ndim != 3 or names is None or len(set(names)) != signals.shape[1]:
            raise InputError(
                f"signals of shape {tuple(signals.shape)} do not fit the names {names}; "
                "pass (N, K, T) and K different names"
            )
        return {name: signals[:, k] for k, name in enumerate(names)}
    missing = [name for name in names or () if name not in signals]
    if missing or not signals:
        raise InputError(f"there are no training signals of {missing or 'any class'}; pass them as {{name: (N, T)}}")
    return {name: signals[name] for name in names or signals}


@cache
def _dictionaries(world: World, length: int) -> SupervisedNMF:
    """Learnt of every class of a world, from training signals of `length` samples."""
    generator = torch.Generator().manual_seed(SEED)
    return SupervisedNMF().fit(world.draw(SIGNALS, length, generator), world.sources)


def _learned(given: Given) -> Estimator:
    """With dictionaries of every class of a world, from training signals as long as the mixes, or `LONGEST`."""
    nmf = _dictionaries(given.world, min(given.length, LONGEST))
    return Estimator(lambda mix, sources, _: nmf.separate(mix, sources))


register(Method("nmf", "single sources", _learned))
