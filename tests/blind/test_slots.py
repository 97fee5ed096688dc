"""Networks with slots and the losses of blind auto-encoders: shapes, one decoder for all slots, and closed forms."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.distributions import Laplace, Normal, kl_divergence

from srcsep_core.blind.slots import SlotConfig, SlotNet, drawn_sources, mixed
from srcsep_core.blind.supervised import mixit_losses, nes_losses, pit_losses
from srcsep_core.blind.vae_bss import TERMS, ae_losses, vae_losses
from srcsep_core.blind.views import Pixels, Spectrogram
from srcsep_core.data.digits import DigitWorld
from srcsep_core.errors import InputError
from srcsep_core.priors.kinds import all_kinds, kind_of
from srcsep_core.priors.sets import Trained

PIXELS = SlotConfig(view=Pixels(4, 6), latent=3, hidden=(16, 12), warmup=0)
SOUNDS = replace(PIXELS, view=Spectrogram(16, 8, 16), pool=4, rank=2)
LOSSES = {"vae": vae_losses, "ae": ae_losses, "mixit": mixit_losses, "pit": pit_losses, "nes": nes_losses}
Losses = Callable[[SlotNet, Tensor, torch.Generator], Tensor]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(config: SlotConfig, batch: int = 12, classes: int = 1) -> Tensor:
    return torch.rand(batch, classes, config.view.length, generator=seeded(1))


def network(config: SlotConfig, *, train: bool = False) -> SlotNet:
    """A network whose batch normalisation has seen a few batches."""
    net = SlotNet(config).train()
    for _ in range(3):
        net.pictures(mixed(drawn_sources(drawn(config), config.sources)))
    return net.train(train)


@pytest.mark.parametrize("slots", [2, 3, 4])
@pytest.mark.parametrize("config", [PIXELS, SOUNDS], ids=["pixels", "sounds"])
def test_there_is_a_latent_vector_a_picture_and_an_estimate_a_slot(config: SlotConfig, slots: int) -> None:
    net = network(replace(config, slots=slots))
    mix, values = drawn(config, 5), config.view.size[0] * config.view.size[1]
    mean, log_variance = net.encode(config.view.picture(mix))
    assert mean.shape == log_variance.shape == (5, slots, config.latent)
    pictures = net.decode(mean)
    assert pictures.shape == (5, slots, values) and pictures.min() >= 0
    for masked in (True, False):
        estimates = net.separate(mix, masked=masked)
        assert estimates.shape == (5, slots, config.view.length) and not estimates.requires_grad


@pytest.mark.parametrize("slots", [2, 3, 4])
@pytest.mark.parametrize("config", [PIXELS, SOUNDS], ids=["pixels", "sounds"])
def test_masked_estimates_sum_to_the_mix_times_the_sources(config: SlotConfig, slots: int) -> None:
    net, mix = network(replace(config, slots=slots)), drawn(config, 5)
    torch.testing.assert_close(net.separate(mix).sum(dim=1, keepdim=True), 2 * mix, rtol=0, atol=1e-5)


def test_estimates_as_they_are_are_the_decoders_pictures() -> None:
    net, mix = network(PIXELS), drawn(PIXELS, 5)
    torch.testing.assert_close(net.separate(mix, masked=False), 2 * net.pictures(mix).detach())


@pytest.mark.parametrize("config", [PIXELS, SOUNDS], ids=["pixels", "sounds"])
def test_slots_share_their_decoder(config: SlotConfig) -> None:
    net = network(config)
    latent = torch.randn(4, 3, config.latent, generator=seeded(2))
    pictures = net.decode(latent)
    order = [2, 0, 1]
    torch.testing.assert_close(net.decode(latent[:, order]), pictures[:, order])
    torch.testing.assert_close(net.decode(latent[:, 1:2]), pictures[:, 1:2])
    assert not torch.allclose(pictures[:, 0], pictures[:, 1], atol=1e-4)


def test_decoder_of_a_rank_gives_a_sum_of_products() -> None:
    net, (rows, columns) = network(SOUNDS), SOUNDS.view.size
    latent = torch.randn(4, 2, SOUNDS.latent, generator=seeded(2))
    raw = torch.sigmoid(net.decoder(latent.flatten(0, 1))).view(4, 2, SOUNDS.rank, rows + columns)
    expected = torch.zeros(4, 2, rows, columns)
    for r in range(SOUNDS.rank):
        expected += raw[:, :, r, :rows, None] * raw[:, :, r, None, rows:]
    torch.testing.assert_close(net.decode(latent), expected.flatten(2))


def test_encoder_takes_means_over_columns() -> None:
    """Columns that are exchanged within a pool make no difference, and others do."""
    net = network(SOUNDS)
    pictures = torch.rand(3, *SOUNDS.view.size, generator=seeded(2))
    mean = net.encode(pictures.flatten(1))[0]
    torch.testing.assert_close(net.encode(pictures[..., [3, 2, 1, 0, 4, 5, 6, 7]].flatten(1))[0], mean)
    assert not torch.allclose(net.encode(pictures[..., [4, 1, 2, 3, 0, 5, 6, 7]].flatten(1))[0], mean, atol=1e-4)


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("config", [PIXELS, SOUNDS], ids=["pixels", "sounds"])
def test_gradients_reach_every_parameter(config: SlotConfig, losses: Losses) -> None:
    net = network(config, train=True)
    losses(net, drawn(config), seeded()).sum(dim=0).mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        if parameter.ndim == 2:
            assert parameter.grad.abs().max() > 0, name


def laplace_and_normal(net: SlotNet, x: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Minus the log-likelihood of a value, and the divergence of a picture, by torch's distributions."""
    config = net.config
    pictures = config.view.picture(mixed(drawn_sources(x, config.sources)))
    mean, log_variance = net.encode(pictures)
    deviation = (log_variance / 2).exp()
    latent = mean + deviation * torch.randn(mean.shape, generator=seeded(seed))
    likelihood = Laplace(config.view.sum(net.decode(latent)), config.scale).log_prob(pictures)
    divergence = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).sum(dim=(1, 2))
    return -likelihood.mean(), divergence.mean()


@pytest.mark.parametrize("scale", [0.5**0.5, 0.1])
@pytest.mark.parametrize("config", [PIXELS, SOUNDS], ids=["pixels", "sounds"])
def test_loss_of_the_variational_network_is_that_of_the_distributions(config: SlotConfig, scale: float) -> None:
    net, x = network(replace(config, scale=scale, beta=0.01)), drawn(config)
    reconstruction, divergence = laplace_and_normal(net, x, 7)
    values = config.view.size[0] * config.view.size[1]
    found = vae_losses(net, x, seeded(7))
    assert found.shape == (1 + len(TERMS), 1)
    expected = torch.stack([reconstruction + 0.01 * divergence, reconstruction, divergence / values])
    torch.testing.assert_close(found[:, 0], expected, rtol=1e-4, atol=1e-5)
    assert not torch.equal(vae_losses(net, x, seeded(8))[1], found[1])


def test_auto_encoder_draws_nothing_and_has_no_divergence() -> None:
    net, x, random = network(PIXELS), drawn(PIXELS), seeded(7)
    before = random.get_state()
    found = ae_losses(net, x, random)
    assert torch.equal(random.get_state(), before)
    assert torch.equal(ae_losses(net, x, seeded(8)), found)
    assert found.shape == (3, 1) and found[2] == 0 and found[0] == found[1]
    pictures = mixed(drawn_sources(x, 2))[:, 0]
    expected = -Laplace(net.pictures(pictures[:, None]).sum(dim=1), PIXELS.scale).log_prob(pictures).mean()
    torch.testing.assert_close(found[0, 0], expected)


def weight_of(net: SlotNet) -> float:
    """What the divergence is multiplied by in the loss, over beta."""
    loss, reconstruction, divergence = vae_losses(net, drawn(net.config), seeded())[:, 0].double().tolist()
    return (loss - reconstruction) / (divergence * net.config.view.length * net.config.beta)


def test_divergence_weighs_nothing_at_first_and_all_after_the_warm_up() -> None:
    """The first batch counts as one of them."""
    net = SlotNet(replace(PIXELS, warmup=4, beta=1.0))
    assert net.trained_steps == 0 and weight_of(net.eval()) == pytest.approx(0, abs=1e-6)
    net.train()
    assert [weight_of(net) for _ in range(6)] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1], abs=1e-4)
    assert net.trained_steps == 6 and weight_of(net.eval()) == pytest.approx(1, abs=1e-4)
    assert net.trained_steps == 6, "looking is no training"


def test_without_warm_up_the_divergence_weighs_all_at_once() -> None:
    assert weight_of(SlotNet(replace(PIXELS, warmup=0, beta=1.0)).eval()) == pytest.approx(1, abs=1e-4)


def test_sources_of_one_class_are_put_together() -> None:
    x = drawn(PIXELS, 6)
    assert torch.equal(drawn_sources(x, 3)[1], x[3:6, 0])
    pairs = drawn(PIXELS, 4, classes=2)
    assert drawn_sources(pairs, 2) is pairs
    torch.testing.assert_close(mixed(pairs)[:, 0], (pairs[:, 0] + pairs[:, 1]) / 2)


@pytest.mark.parametrize(("batch", "classes", "count"), [(5, 1, 2), (6, 2, 3), (6, 2, 1)])
def test_batches_that_make_no_mixes_are_refused(batch: int, classes: int, count: int) -> None:
    with pytest.raises(
        InputError, match=rf"{batch} signals of {classes} class\(es\) makes no mixes of {count} sources"
    ):
        drawn_sources(drawn(PIXELS, batch, classes), count)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slots": 0}, "SlotConfig.slots is 0; use at least 1"),
        ({"sources": 0}, "SlotConfig.sources is 0; use at least 1"),
        ({"sources": 3, "slots": 2}, "SlotConfig has 2 slots for 3 sources; use as many or more"),
        ({"latent": 0}, "SlotConfig.latent is 0; use at least 1"),
        ({"rank": -1}, "SlotConfig.rank is -1; use 0 or more"),
        ({"beta": -0.1}, "SlotConfig.beta is -0.1; use 0 or more"),
        ({"warmup": -1}, "SlotConfig.warmup is -1; use 0 or more"),
        ({"scale": 0.0}, "SlotConfig.scale is 0.0; use a number above 0"),
        ({"hidden": ()}, r"SlotConfig.hidden is \(\); use a width of 1 or more for each layer"),
        ({"hidden": (8, 0)}, r"SlotConfig.hidden is \(8, 0\)"),
        ({"pool": 4}, "SlotConfig.pool is 4; use one that divides 6 columns"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(PIXELS, **changes)  # type: ignore[arg-type]


def test_mixes_that_it_cannot_see_are_refused() -> None:
    net = network(PIXELS)
    with pytest.raises(InputError, match="the signals have 23 samples"):
        net.separate(torch.rand(1, 1, 23))
    with pytest.raises(InputError, match="values down to -1"):
        net.separate(-torch.ones(1, 1, 24))


@pytest.mark.parametrize("name", ["vae-bss", "ae-bss", "mixit", "pit", "nes"])
def test_each_is_trained_like_a_prior_and_is_none(name: str) -> None:
    kind = kind_of(name)
    assert name not in all_kinds() and kind.mixes
    task = kind.task(PIXELS, 1, "")
    net = task.build()
    losses = task.losses(net, drawn(PIXELS), seeded())
    assert losses.shape == (1 + len(task.terms), 1)
    about = Trained(("digit",), DigitWorld(), 0.0, pd.DataFrame(), Path())
    found = kind.load(PIXELS, net.state_dict(), about, torch.device("cpu"))
    assert not found.net.training and found.net.trained_steps == net.trained_steps > 0
    with pytest.raises(InputError, match="a network with slots has no prior of digit"):
        found.prior("digit")
