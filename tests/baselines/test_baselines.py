"""Baselines: masks share out the mix, each is better than the mix where it should be, and bad input is named."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from srcsep_core.baselines import nmf
from srcsep_core.baselines.base import Given, all_methods, method_of
from srcsep_core.baselines.ica import fast_ica, instantaneous_mixes
from srcsep_core.baselines.masks import ideal_binary_mask, ideal_ratio_mask
from srcsep_core.baselines.mix import mix_baseline
from srcsep_core.baselines.nmf import SupervisedNMF
from srcsep_core.data.mixes import Mixes
from srcsep_core.data.toy import SOURCES, ToyWorld, draw_sources, draw_test_set, waveform
from srcsep_core.data.toy import mix as mix_of
from srcsep_core.errors import InputError
from srcsep_core.metrics import best_permutation, improvement, si_sdr
from srcsep_core.priors.kinds import kind_of
from srcsep_core.priors.sets import Trained
from srcsep_core.run.profiles import get_profile
from srcsep_core.training.loop import new_network

LENGTH = 1024
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def sources() -> Tensor:
    return draw_test_set(ToyWorld(), 6, LENGTH, seed=3)


@pytest.fixture(scope="module")
def training() -> Tensor:
    return draw_sources(ToyWorld(), 40, LENGTH, torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def fitted(training: Tensor) -> SupervisedNMF:
    return SupervisedNMF(components=20, iterations=40).fit(training, SOURCES)


def untrained(model: str) -> Any:
    """The set of a kind with the smallest network there is a plan for and random weights; None without a kind."""
    if not model:
        return None
    kind, plan = kind_of(model), get_profile("smoke").of("songs_8k").plan_of(model)
    weights = new_network(kind.task(plan.network, len(SOURCES), "").build, seed=0).state_dict()
    return kind.load(plan.network, weights, Trained(SOURCES, ToyWorld(), 0.0, pd.DataFrame(), Path()), CPU)


def two_bands() -> Tensor:
    """Two sines on bins of the window, at amplitudes 1 and 0.5: their spectra do not overlap. (1, 2, T)."""
    time = torch.arange(LENGTH, dtype=torch.float64)
    return torch.stack([waveform("sine", time * 8 / 256), 0.5 * waveform("sine", time * 64 / 256)])[None]


@pytest.mark.parametrize("name", [name for name, method in all_methods().items() if not method.apart])
def test_every_method_is_a_separator(name: str, sources: Tensor) -> None:
    """The same estimates for the same seed, without chains; one that needs more than the mix is told the truth."""
    method, some = method_of(name), sources[:2]
    truth = Mixes(mix_of(some), some, torch.ones(2, 4)) if method.needs else None
    separator = method.make(Given(ToyWorld(), LENGTH, untrained(method.model), truth))
    first, again = (separator.separate(mix_of(some), SOURCES, torch.Generator().manual_seed(1)) for _ in range(2))
    assert first.sources.shape == some.shape and torch.equal(first.sources, again.sources)
    assert first.doubts.shape == (2, 0) and first.chains.shape == (2, 0, *some.shape[1:])
    assert first.residual.isnan().all() and first.trace.empty


@pytest.mark.parametrize("name", [name for name, method in all_methods().items() if method.needs])
def test_methods_that_need_the_truth_say_so(name: str) -> None:
    with pytest.raises(InputError, match="true sources are not known here; use a method that works from the mix alone"):
        method_of(name).make(Given(ToyWorld(), LENGTH))


def test_the_mix_stands_for_every_source(sources: Tensor) -> None:
    mix = mix_of(sources)
    estimate = mix_baseline(mix, 4)
    assert estimate.shape == sources.shape
    assert all(torch.equal(estimate[:, k : k + 1], mix) for k in range(4))
    estimate[:, 0] = 0
    assert torch.equal(mix, mix_of(sources)), "the copies share memory with the mix"


@pytest.mark.parametrize("mask", [ideal_ratio_mask, ideal_binary_mask])
def test_oracle_masks_share_out_the_mix_and_improve_on_it(mask: Callable[..., Tensor], sources: Tensor) -> None:
    mix = mix_of(sources)
    for window, hop in [(256, 64), (200, 50), (128, 64)]:
        estimate = mask(mix, sources, window=window, hop=hop)
        assert estimate.shape == sources.shape
        assert estimate.dtype == sources.dtype
        assert (mix_of(estimate) - mix).abs().max() < 1e-5
    assert improvement(estimate=mask(mix, sources), reference=sources, mix=mix).mean() > 8


@pytest.mark.parametrize("mask", [ideal_ratio_mask, ideal_binary_mask])
def test_oracle_masks_recover_separate_bands_at_their_scale(mask: Callable[..., Tensor]) -> None:
    sources = two_bands()
    inner = slice(256, -256)
    assert (mask(mix_of(sources), sources) - sources)[..., inner].abs().max() < 1e-3


def test_the_masks_follow_their_definitions() -> None:
    wave = waveform("saw", torch.arange(LENGTH, dtype=torch.float64) / 40)
    sources = torch.stack([wave, 3 * wave, -wave])[None]  # same bins, magnitudes 1 : 3 : 1
    mix = mix_of(sources)
    assert torch.allclose(ideal_ratio_mask(mix, sources), 3 * mix * torch.tensor([0.2, 0.6, 0.2])[:, None])
    assert torch.allclose(ideal_binary_mask(mix, sources), 3 * mix * torch.tensor([0.0, 1.0, 0.0])[:, None])


def test_silent_sources_leave_no_nan() -> None:
    zero = torch.zeros(1, 3, LENGTH)
    for mask in (ideal_ratio_mask, ideal_binary_mask):
        assert mask(mix_of(zero), zero).eq(0).all()
    mix = torch.randn(1, 1, LENGTH)
    assert torch.allclose(ideal_ratio_mask(mix, zero), mix.expand(1, 3, -1), atol=1e-5), "not shared equally"


@pytest.mark.parametrize("mask", [ideal_ratio_mask, ideal_binary_mask])
@pytest.mark.parametrize(
    ("mix", "sources", "options", "value"),
    [
        (torch.ones(1, 2, 512), torch.ones(1, 2, 512), {}, "expected 1 channel(s), got 2"),
        (torch.ones(2, 1, 512), torch.ones(1, 2, 512), {}, "(2, 1, 512) and its sources (1, 2, 512)"),
        (torch.ones(1, 1, 512), torch.ones(1, 2, 500), {}, "(1, 1, 512) and its sources (1, 2, 500)"),
        (torch.ones(1, 1, 100), torch.ones(1, 2, 100), {}, "100 samples but the window 256; use a longer"),
        (torch.ones(1, 1, 512), torch.ones(1, 2, 512), {"hop": 200}, "window 256 and hop 200"),
        (torch.ones(1, 1, 512), torch.ones(1, 2, 512), {"hop": 0}, "window 256 and hop 0"),
        (torch.full((1, 1, 512), math.nan), torch.ones(1, 2, 512), {}, "512 of 512 samples are NaN"),
        (torch.ones(1, 1, 512), torch.full((1, 2, 512), math.inf), {}, "1024 of 1024 samples are NaN or infinite"),
        (torch.ones(1, 1, 512), torch.ones(1, 2, 512).double(), {}, "torch.float64 but the model is torch.float32"),
    ],
)
def test_the_masks_name_what_they_cannot_take(
    mask: Callable[..., Tensor], mix: Tensor, sources: Tensor, options: dict[str, int], value: str
) -> None:
    with pytest.raises(InputError) as caught:
        mask(mix, sources, **options)
    assert value in str(caught.value)


def test_nmf_improves_on_the_mix_and_shares_it_out(fitted: SupervisedNMF, sources: Tensor) -> None:
    mix = mix_of(sources)
    estimate = fitted.separate(mix, SOURCES)
    assert estimate.shape == sources.shape
    assert estimate.dtype == sources.dtype
    assert (mix_of(estimate) - mix).abs().max() < 1e-5
    assert improvement(estimate=estimate, reference=sources, mix=mix).mean() > 1


def test_nmf_tells_separate_bands_apart() -> None:
    sources = two_bands()
    model = SupervisedNMF(components=2, iterations=60).fit({"low": sources[:, 0], "high": sources[:, 1]})
    estimate = model.separate(mix_of(sources), ["high", "low"])
    assert (si_sdr(estimate=estimate, reference=sources[:, [1, 0]]) > 25).all()


def test_nmf_treats_each_mix_by_itself_and_repeats(fitted: SupervisedNMF, training: Tensor, sources: Tensor) -> None:
    mix = mix_of(sources)
    together = fitted.separate(mix, SOURCES)
    assert torch.allclose(fitted.separate(0.01 * mix[2:3], SOURCES), 0.01 * together[2:3], atol=1e-6)
    small = SupervisedNMF(components=3, iterations=5)
    first, again = (small.fit(training[:5], SOURCES).dictionaries for _ in range(2))
    assert all(np.array_equal(first[name], again[name]) for name in SOURCES)
    other = SupervisedNMF(components=3, iterations=5, seed=1).fit(training[:5], SOURCES).dictionaries
    assert not np.array_equal(first["sine"], other["sine"])
    assert first["sine"].shape == (3, 129)
    assert (first["sine"] >= 0).all()
    assert not small.dictionaries, "fit changed the model it was called on"


def test_nmf_takes_a_mapping_or_a_tensor(training: Tensor) -> None:
    small = SupervisedNMF(components=2, iterations=3)
    tensor = small.fit(training[:3], SOURCES).dictionaries
    signals = {name: training[:3, k] for k, name in enumerate(SOURCES)}
    mapping = small.fit(signals).dictionaries
    with_channel = small.fit({name: x[:, None] for name, x in signals.items()}, ["saw"]).dictionaries
    assert all(np.array_equal(tensor[name], mapping[name]) for name in SOURCES)
    assert list(with_channel) == ["saw"]
    assert np.array_equal(with_channel["saw"], mapping["saw"])


def test_nmf_separates_silence_into_silence(fitted: SupervisedNMF) -> None:
    assert fitted.separate(torch.zeros(1, 1, LENGTH), SOURCES).eq(0).all()


@pytest.mark.parametrize(
    ("signals", "names", "value"),
    [
        (torch.ones(2, 3, 512), ["a", "b"], "(2, 3, 512) do not fit the names ['a', 'b']"),
        (torch.ones(2, 2, 512), ["a", "a"], "K different names"),
        (torch.ones(2, 2, 512), None, "do not fit the names None"),
        ({}, None, "no training signals of any class"),
        ({"a": torch.ones(1, 512)}, ["a", "b"], "no training signals of ['b']"),
        ({"a": torch.zeros(1, 512)}, None, "training signals of 'a' are silent"),
        ({"a": torch.full((1, 512), math.nan)}, None, "512 of 512 samples are NaN"),
        ({"a": torch.ones(1, 100)}, None, "100 samples but the window 256"),
        ({"a": torch.ones(1, 2, 512)}, None, "expected 1 channel(s), got 2"),
    ],
)
def test_nmf_names_training_signals_it_cannot_take(signals: object, names: list[str] | None, value: str) -> None:
    with pytest.raises(InputError) as caught:
        SupervisedNMF(components=2, iterations=2).fit(signals, names)  # type: ignore[arg-type]
    assert value in str(caught.value)


def test_nmf_names_what_it_cannot_separate(fitted: SupervisedNMF) -> None:
    mix = torch.ones(1, 1, 512)
    with pytest.raises(InputError, match=r"no dictionary for \['piano'\]; classes learnt: sine"):
        fitted.separate(mix, ["sine", "piano"])
    with pytest.raises(InputError, match="no dictionary for no names"):
        fitted.separate(mix, [])
    with pytest.raises(InputError, match="none, as fit was not called"):
        SupervisedNMF().separate(mix, ["sine"])
    with pytest.raises(InputError, match="repeat a class"):
        fitted.separate(mix, ["sine", "sine"])
    with pytest.raises(InputError, match="got 2 in shape"):
        fitted.separate(torch.ones(1, 2, 512), ["sine"])
    with pytest.raises(InputError, match="components is 0; use at least 1"):
        SupervisedNMF(components=0)


def test_ica_finds_the_sources_of_as_many_mixes(sources: Tensor, generator: torch.Generator) -> None:
    mixes = instantaneous_mixes(sources, generator)
    found = fast_ica(mixes, generator=generator)
    assert found.shape == sources.shape
    assert found.dtype == sources.dtype
    assert found.mean(dim=-1).abs().max() < 1e-4
    assert (found.var(dim=-1, correction=0) - 1).abs().max() < 1e-3
    estimate, _ = best_permutation(estimate=found, reference=sources)
    assert si_sdr(estimate=estimate, reference=sources, zero_mean=True).median() > 15


def test_ica_takes_more_channels_than_sources(sources: Tensor, generator: torch.Generator) -> None:
    pair = sources[:2, 1:3]
    mixing = torch.tensor([[1.0, 0.5], [0.2, 1.0], [0.7, -0.7]])
    noise = 1e-3 * torch.randn(2, 3, LENGTH, generator=generator)
    found = fast_ica(mixing @ pair + noise, generator=generator, sources_count=2)
    assert found.shape == (2, 2, LENGTH)
    estimate, _ = best_permutation(estimate=found, reference=pair)
    assert si_sdr(estimate=estimate, reference=pair, zero_mean=True).min() > 15


def test_ica_repeats_with_the_same_generator(sources: Tensor) -> None:
    first, again = (fast_ica(sources[:1], generator=torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, again)


def test_ica_names_what_it_cannot_take(sources: Tensor, generator: torch.Generator) -> None:
    mix = mix_of(sources)
    with pytest.raises(InputError, match=r"FastICA needs as many channels as sources, got 1 channel\(s\)"):
        fast_ica(mix, generator=generator)
    with pytest.raises(InputError, match=r"as many channels as sources, got 3 channel\(s\) for a mix of 4"):
        fast_ica(sources[:, :3], generator=generator, sources_count=4)
    with pytest.raises(InputError, match=r"example 0 are combinations of 1 signal\(s\) but 2 .* differ in more than"):
        fast_ica(torch.cat([mix, 2 * mix], dim=1), generator=generator)
    with pytest.raises(InputError, match="number of sources is 0"):
        fast_ica(sources, generator=generator, sources_count=0)
    with pytest.raises(InputError, match="24576 of 24576 samples are NaN"):
        fast_ica(sources * math.nan, generator=generator)


def test_the_mixing_is_invertible_and_differs_between_examples(generator: torch.Generator) -> None:
    identity = torch.eye(4, dtype=torch.float64).expand(5, 4, 4)
    matrices = instantaneous_mixes(identity, generator)
    gains = torch.linalg.svdvals(matrices)
    assert gains.min() >= 0.5 - 1e-9
    assert gains.max() <= 1.5 + 1e-9
    assert (matrices[0] - matrices[1]).abs().max() > 0.1


@pytest.mark.parametrize("count", [0, -1])
def test_the_mix_baseline_names_a_bad_count(count: int) -> None:
    with pytest.raises(InputError, match=f"number of sources is {count}; use at least 1"):
        mix_baseline(torch.ones(1, 1, 8), count)


@pytest.mark.parametrize(("length", "learnt"), [(1024, 1024), (10 * nmf.LONGEST, nmf.LONGEST)])
def test_dictionaries_are_learnt_from_signals_of_seconds(
    length: int, learnt: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a mix is: a minute of each of 800 signals would be half a day of sound."""
    asked = []
    monkeypatch.setattr(nmf, "_dictionaries", lambda world, samples: asked.append((world, samples)))
    method_of("nmf").make(Given(ToyWorld(), length))
    assert asked == [(ToyWorld(), learnt)]
