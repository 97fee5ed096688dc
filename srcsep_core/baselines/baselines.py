"""Baselines for mixes of known sources: the mix itself, oracle masks, supervised NMF and independent components.

A mix is the mean of its K sources, (B, 1, T) (Frank & Ilse 2020, Eq. 8); estimates are (B, K, T) at the scale of the
sources, so that the masks here, which share out the mix, are followed by a factor K.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from srcsep_core.checks import check_waveform
from srcsep_core.errors import InputError

WINDOW = 256
HOP = 64


def mix_baseline(mix: Tensor, sources_count: int) -> Tensor:
    """The mix (B, 1, T) itself as the estimate of each of `sources_count` sources: (B, K, T).

    What a separator has to improve on. Raises `InputError` for a bad mix or a count below 1.
    """
    check_waveform(mix)
    if sources_count < 1:
        raise InputError(f"the number of sources is {sources_count}; use at least 1")
    return mix.repeat(1, sources_count, 1)


def ideal_ratio_mask(mix: Tensor, sources: Tensor, *, window: int = WINDOW, hop: int = HOP) -> Tensor:
    """Oracle: the mix (B, 1, T) masked by |S_k| / sum_j |S_j| of the true sources (B, K, T): (B, K, T).

    The ratio mask with exponent 1 on magnitudes of the STFT (Hann window of `window` samples every `hop`), with the
    phase of the mix (Li & Wang 2009; Narayanan & Wang 2013 take the root of the ratio of powers instead). Its mean
    over the sources is the mix.

    Raises `InputError` for a mix and sources that do not match, NaN, infinity, a signal shorter than the window, and
    hop below 1 or above half the window.
    """
    _check_oracle(mix, sources)
    return _masked(mix, _magnitude(sources, window, hop), window, hop)


def ideal_binary_mask(mix: Tensor, sources: Tensor, *, window: int = WINDOW, hop: int = HOP) -> Tensor:
    """Oracle: each bin of the STFT of the mix (B, 1, T) given to its loudest true source of (B, K, T): (B, K, T).

    For two sources, the binary mask at 0 dB (Wang 2005; Li & Wang 2009), where a bin is the target's if the target is
    louder than the rest. With more sources that rule would drop the bins that nobody dominates; here the loudest gets
    them, so that the mean over the sources is the mix. Of equally loud sources the first gets the bin.

    Raises `InputError` as `ideal_ratio_mask` does.
    """
    _check_oracle(mix, sources)
    magnitude = _magnitude(sources, window, hop)
    loudest = magnitude.argmax(dim=1, keepdim=True)
    return _masked(mix, torch.zeros_like(magnitude).scatter_(1, loudest, 1.0), window, hop)


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
            frames = self._frames(_magnitude(own.reshape(len(own), 1, -1), self.window, self.hop))
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
        magnitude = _magnitude(mix, self.window, self.hop)
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
        return _masked(mix, weights, self.window, self.hop)

    @staticmethod
    def _frames(magnitude: Tensor) -> np.ndarray:
        """Magnitudes (B, 1, F, N) as one row a frame: (B * N, F), float64."""
        return magnitude[:, 0].mT.flatten(0, 1).detach().cpu().double().numpy()


def fast_ica(observations: Tensor, *, generator: torch.Generator, sources_count: int | None = None) -> Tensor:
    """Independent components (B, K, T) of observations (B, M, T): M different mixes of the same K sources.

    FastICA (Hyvarinen 1999, with the log-cosh contrast) on each example, from one random start drawn by `generator`.
    K is `sources_count`, or M. Order, sign and scale of the components are undetermined: each comes with mean 0 and
    variance 1, so find its source with `metrics.best_permutation`.

    Raises `InputError` for one channel, fewer channels than sources, channels that are combinations of fewer than K
    signals, NaN and infinity.
    """
    from sklearn.decomposition import FastICA

    check_waveform(observations, channels=None)
    channels = observations.shape[1]
    count = channels if sources_count is None else sources_count
    if channels < 2 or channels < count:
        wanted = "of 2 or more" if sources_count is None else f"of {count}"
        raise InputError(
            f"FastICA needs as many channels as sources, got {channels} channel(s) for a mix {wanted} sources; "
            "pass that many different mixes of the same sources, (B, M, T)"
        )
    if count < 1:
        raise InputError(f"the number of sources is {count}; use at least 1")
    start = torch.randn(count, count, generator=generator, device=generator.device, dtype=torch.float64).cpu().numpy()
    found = []
    for index, example in enumerate(observations.detach().cpu().double().numpy()):
        rank = int(np.linalg.matrix_rank(example - example.mean(axis=1, keepdims=True), rtol=1e-6))
        if rank < count:
            raise InputError(
                f"the channels of example {index} are combinations of {rank} signal(s) but {count} sources are "
                "asked for; pass mixes that differ in more than gain"
            )
        model = FastICA(count, whiten="unit-variance", w_init=start, max_iter=1000)
        found.append(model.fit_transform(example.T).T)
    return torch.from_numpy(np.stack(found)).to(observations)


def instantaneous_mixes(sources: Tensor, generator: torch.Generator) -> Tensor:
    """As many random mixes as sources: (B, K, T) to (B, K, T), an own invertible matrix for every example.

    The matrix is rotation @ diag(U[0.5, 1.5]) @ rotation, so that its condition number is at most 3.
    """
    check_waveform(sources, channels=None)
    batch, count, _ = sources.shape

    def rotations() -> Tensor:
        normal = torch.randn(batch, count, count, generator=generator, device=generator.device, dtype=torch.float64)
        return torch.linalg.qr(normal).Q

    left, right = rotations(), rotations()
    gains = 0.5 + torch.rand(batch, 1, count, generator=generator, device=generator.device, dtype=torch.float64)
    return ((left * gains) @ right).to(sources) @ sources


def _spectrum(x: Tensor, window: int, hop: int) -> Tensor:
    """Complex STFT of signals (B, K, T): (B, K, F, N), with frames centred on every `hop`-th sample."""
    if window < 2 or not 1 <= hop <= window // 2:
        raise InputError(f"window {window} and hop {hop} cannot be inverted; use for example {WINDOW} and {HOP}")
    if x.shape[-1] < window:
        raise InputError(
            f"the signal has {x.shape[-1]} samples but the window {window}; use a longer signal or a shorter window"
        )
    weights = torch.hann_window(window, dtype=x.dtype, device=x.device)
    spectrum = torch.stft(x.flatten(0, 1), window, hop, window=weights, return_complex=True)
    return spectrum.unflatten(0, x.shape[:2])


def _magnitude(x: Tensor, window: int, hop: int) -> Tensor:
    return _spectrum(x, window, hop).abs()


def _masked(mix: Tensor, weights: Tensor, window: int, hop: int) -> Tensor:
    """K times the mix (B, 1, T), shared out in proportion to non-negative weights (B, K, F, N): (B, K, T).

    A bin without any weight is shared equally.
    """
    count = weights.shape[1]
    total = weights.sum(dim=1, keepdim=True)
    share = torch.where(total > 0, weights / total, 1 / count)
    spectrum = (count * share * _spectrum(mix, window, hop)).flatten(0, 1)
    hann = torch.hann_window(window, dtype=mix.dtype, device=mix.device)
    return torch.istft(spectrum, window, hop, window=hann, length=mix.shape[-1]).unflatten(0, (len(mix), count))


def _check_oracle(mix: Tensor, sources: Tensor) -> None:
    check_waveform(mix)
    check_waveform(sources, channels=None, dtype=mix.dtype)
    if (mix.shape[0], mix.shape[2]) != (sources.shape[0], sources.shape[2]):
        raise InputError(
            f"the mix has the shape {tuple(mix.shape)} and its sources {tuple(sources.shape)}; "
            "pass the sources of these mixes, (B, K, T)"
        )


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
