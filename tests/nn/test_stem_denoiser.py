"""Denoisers of stems: what sounds in their noise, the network over spectrograms, and what they cannot take."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.nn.denoiser import DenoiserConfig, DenoiserNet, PreconditionedNet
from srcsep_core.nn.stem_denoiser import SPECTRA, SpectralNet, StemDenoiserConfig, interfering

TINY = StemDenoiserConfig(
    classes=3, channels=(8, 16), strides=(4,), middle=1, heads=2, window=1024, domain="spectrogram"
)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tones(batch: int, groups: int, length: int = 1024) -> Tensor:
    """Class k is a sine on bin 16 (k + 1) of the whole signal, of amplitude k + 1: (batch, groups, length)."""
    time = torch.arange(length) / length
    one = torch.stack([(k + 1) * torch.sin(2 * torch.pi * 16 * (k + 1) * time) for k in range(groups)])
    return one.expand(batch, -1, -1).clone()


def spectrum_at(signals: Tensor, k: int) -> Tensor:
    """The share of the energy that class k's tone has in signals (..., T)."""
    power = torch.fft.rfft(signals).abs().square()
    return power[..., 16 * (k + 1)] / power.sum(dim=-1)


def test_interference_is_of_the_other_classes_alone() -> None:
    clean = tones(64, 3)
    noise = interfering(clean, torch.zeros(64, 3, 1024), 1.0, generator())
    for k in range(3):
        assert spectrum_at(noise, k)[:, k].nan_to_num().max() < 1e-6
        others = [spectrum_at(noise, j)[:, k] for j in range(3) if j != k]
        assert all(float(share.max()) > 0.9 and float(share.min()) < 0.1 for share in others)  # either, or both


def test_interference_keeps_the_noise_level() -> None:
    """Other classes take a part of the variance, which is 1 whatever the part is."""
    noise = interfering(tones(400, 3), randn(400, 3, 1024), 1.0, generator())
    assert noise.square().mean(dim=2).sub(1).abs().max() < 0.35
    assert float(noise.square().mean()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0.0, 0.0), (0.5, 0.42, 0.58), (1.0, 1.0, 1.0)])
def test_the_share_of_signals_with_interference(share: float, least: float, most: float) -> None:
    noise = randn(200, 3, 1024)
    changed = (interfering(tones(200, 3), noise, share, generator()) != noise).any(dim=2).float().mean()
    assert least <= float(changed) <= most


def test_nothing_interferes_in_a_world_of_one_class_or_of_silence() -> None:
    noise = randn(4, 1, 64)
    assert interfering(tones(4, 1, 64), noise, 1.0, generator()) is noise
    noise = randn(4, 2, 64)
    assert torch.equal(interfering(torch.zeros(4, 2, 64), noise, 1.0, generator()), noise)


def test_the_toy_denoiser_has_no_interference() -> None:
    noise = randn(20, 2, 64)
    for config, same in (
        (DenoiserConfig(), True),
        (StemDenoiserConfig(), False),
        (StemDenoiserConfig(interference=0), True),
    ):
        assert torch.equal(config.training_noise(noise, tones(20, 2, 64), generator()), noise) == same
    assert type(DenoiserConfig().raw_network()) is DenoiserNet and type(TINY.raw_network()) is SpectralNet


@pytest.mark.parametrize("domain", SPECTRA)
def test_the_spectral_network_gives_what_it_sees(domain: str) -> None:
    """At first nothing depends on the signal; with patches that pass everything on, it comes back but for a bin."""
    net, hop = SpectralNet(replace(TINY, domain=domain)), SPECTRA[domain] // 4
    x = randn(2, 1, 1024)
    condition = torch.zeros(2), torch.zeros(2, dtype=torch.long)
    assert torch.equal(net(x, *condition), net(torch.zeros_like(x), *condition))
    analysis, synthesis = net.stem, net.head[2]
    with torch.no_grad():
        for patches in (analysis.patches, synthesis.patches):
            patches.weight.zero_()
            patches.bias.zero_()
            for part in range(2):
                for bin in range(2):
                    for frame in range(2):
                        channel = 4 * part + 2 * bin + frame
                        at = (channel, part, bin, frame)
                        patches.weight[at] = 1.0
    again = synthesis(analysis(x))
    torch.testing.assert_close(again[..., hop:-hop], x[..., hop:-hop], atol=0.15, rtol=0)  # all but the last bin
    assert torch.nn.functional.mse_loss(again, x) < 0.01


def test_rows_do_not_depend_on_each_other(perturb) -> None:  # type: ignore[no-untyped-def]
    net = PreconditionedNet(TINY).eval()
    perturb(net, 0.1)
    x, labels = randn(3, 1, 1024), torch.tensor([0, 1, 2])
    whole = net.denoise_rows(x, 0.1, labels)
    for row in range(3):
        alone = net.denoise_rows(x[row : row + 1], 0.1, labels[row : row + 1])
        torch.testing.assert_close(whole[row : row + 1], alone, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(whole[0], net.denoise_rows(x[:1], 0.1, labels[1:2])[0])


@pytest.mark.parametrize("domain", ["waveform", *SPECTRA])
def test_the_same_weights_at_another_window(domain: str, perturb) -> None:  # type: ignore[no-untyped-def]
    net = PreconditionedNet(replace(TINY, domain=domain)).eval()
    perturb(net, 0.05)
    longer, x = net.at(2048), randn(1, 1, 2048)
    assert net.at(1024) is net and longer.config.window == 2048
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), longer.parameters(), strict=True))
    label = torch.tensor([1])
    whole = longer.denoise_rows(torch.cat([x[..., :1024]] * 2, dim=2), 0.1, label)
    assert whole.shape == x.shape
    half = net.denoise_rows(x[..., :1024], 0.1, label)
    middle = slice(300, 724)
    gap = (whole[..., middle] - half[..., middle]).square().mean() / half[..., middle].square().mean()
    assert float(gap) < 0.05
    with pytest.raises(InputError, match="the window of 1026 samples is not a multiple"):
        net.at(1026)


def test_traced_and_rounded_say_nearly_the_same(perturb) -> None:  # type: ignore[no-untyped-def]
    net = PreconditionedNet(TINY).eval()
    perturb(net, 0.05)
    x, labels = randn(5, 1, 1024), torch.tensor([0, 1, 2, 1, 0])
    whole = net.denoise_rows(x, 0.1, labels)
    torch.testing.assert_close(net.traced().denoise_rows(x, 0.1, labels), whole, atol=1e-6, rtol=1e-5)
    rounded = net.rounded().denoise_rows(x, 0.1, labels)
    assert float((rounded - whole).square().mean() / whole.square().mean()) < 1e-3


def test_a_few_steps_lower_the_loss() -> None:
    """The own class is told from the others, which noise alone would not teach."""
    config = replace(TINY, sigma_data=1.0, log_sigma_mean=0.0, interference=1.0)
    torch.manual_seed(0)
    net, clean, random = PreconditionedNet(config), tones(8, 3), generator()
    optimiser, losses = torch.optim.Adam(net.parameters(), 5e-3), []
    for _ in range(60):
        optimiser.zero_grad()
        loss = net.loss(clean, random).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"domain": "wavelet"}, "unknown domain 'wavelet'; use one of waveform, spectrogram, long spectrogram"),
        ({"interference": 1.5}, r"interference is 1.5; use a share of 0 to 1"),
        ({"window": 1000}, "the window of 1000 samples is not a multiple of 64"),
        ({"window": 1088, "domain": "long spectrogram"}, "the window of 1088 samples is not a multiple of 128"),
    ],
)
def test_senseless_configurations_are_named(changes: dict[str, object], match: str) -> None:
    with pytest.raises(InputError, match=match):
        replace(TINY, **changes)
