"""What networks see of pictures and sounds: shares that sum to the mix, pictures and back, and what is refused."""

import pytest
import torch
from torch import Tensor

from srcsep_core.blind.views import Pixels, Spectrogram, View
from srcsep_core.errors import InputError

VIEWS = {
    "pixels": Pixels(4, 6),
    "pixels_squared": Pixels(4, 6, power=0.5),
    "spectrogram": Spectrogram(16, 8, 16),
    "overlapping": Spectrogram(16, 12, 4, power=1.0),
}
each_view = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)


def signals(view: View, generator: torch.Generator, count: int = 1, batch: int = 3) -> Tensor:
    """Signals (batch, count, length) in [0, 1], which a spectrogram sees as sounds with an offset."""
    return torch.rand(batch, count, view.length, generator=generator)


def weights(view: View, generator: torch.Generator, count: int, batch: int = 3) -> Tensor:
    rows, columns = view.size
    return torch.rand(batch, count, rows * columns, generator=generator)


@each_view
@pytest.mark.parametrize("count", [1, 2, 5])
def test_masked_parts_sum_to_the_mix(view: View, count: int, generator: torch.Generator) -> None:
    mix = signals(view, generator)
    parts = view.masked(mix, weights(view, generator, count))
    assert parts.shape == (3, count, view.length) and parts.dtype == mix.dtype
    torch.testing.assert_close(parts.sum(dim=1, keepdim=True), mix, rtol=0, atol=2e-6)


@each_view
def test_what_nobody_asks_for_is_shared_equally(view: View, generator: torch.Generator) -> None:
    mix = signals(view, generator)
    parts = view.masked(mix, torch.zeros_like(weights(view, generator, 4)))
    torch.testing.assert_close(parts, mix.expand(-1, 4, -1) / 4, rtol=0, atol=2e-6)


@each_view
def test_masked_parts_sum_to_the_mix_where_few_values_are_asked_for(view: View, generator: torch.Generator) -> None:
    mix, asked = signals(view, generator), weights(view, generator, 3)
    sparse = asked * (asked > 0.8)
    parts = view.masked(mix, sparse)
    torch.testing.assert_close(parts.sum(dim=1, keepdim=True), mix, rtol=0, atol=2e-6)
    assert not torch.allclose(parts, view.masked(mix, asked), atol=1e-3)


@each_view
def test_shares_are_of_what_adds_up(view: View, generator: torch.Generator) -> None:
    asked = 0.1 + weights(view, generator, 3)
    expected = asked ** (1 / view.power)
    torch.testing.assert_close(view.shares(asked), expected / expected.sum(dim=1, keepdim=True))


@each_view
def test_picture_of_a_source_alone_gives_it_back(view: View, generator: torch.Generator) -> None:
    source = 0.05 + 0.9 * signals(view, generator)
    picture = view.picture(source)
    torch.testing.assert_close(view.unmasked(source, picture[:, None]), source, rtol=1e-4, atol=1e-4)
    half = view.unmasked(source, picture[:, None] * 0.5**view.power)
    torch.testing.assert_close(half, source / 2, rtol=1e-4, atol=1e-4)


@each_view
def test_sum_of_one_picture_is_itself(view: View, generator: torch.Generator) -> None:
    picture = view.picture(signals(view, generator))
    torch.testing.assert_close(view.sum(picture[:, None]), picture, rtol=1e-4, atol=2e-4)


def test_pictures_add_up_where_sources_do(generator: torch.Generator) -> None:
    """Sources of disjoint pixels, and of any; two of the same picture are the picture twice, whatever the power."""
    view = VIEWS["pixels_squared"]
    sources = signals(view, generator, 2) / 2
    pictures = torch.stack([view.picture(one) for one in sources.split(1, dim=1)], dim=1)
    torch.testing.assert_close(view.sum(pictures), view.picture(sources.sum(dim=1, keepdim=True)), rtol=1e-4, atol=2e-4)
    both = view.sum(pictures[:, :1].expand(-1, 2, -1))
    torch.testing.assert_close(both, 2**view.power * pictures[:, 0], rtol=1e-3, atol=2e-4)


@each_view
def test_picture_of_a_mix_is_between_zero_and_one(view: View, generator: torch.Generator) -> None:
    mix = signals(view, generator)
    picture = view.picture(mix)
    assert picture.shape == (3, view.size[0] * view.size[1])
    assert picture.min() >= 0 and 0.5 < picture.max() <= 1


def test_spectrogram_does_not_depend_on_loudness(generator: torch.Generator) -> None:
    view = VIEWS["spectrogram"]
    mix = signals(view, generator) - 0.5
    picture = view.picture(mix)
    assert torch.equal(picture.amax(dim=1), torch.ones(3))
    torch.testing.assert_close(view.picture(0.01 * mix), picture, rtol=1e-4, atol=1e-5)


def test_spectrogram_puts_a_tone_into_its_bin() -> None:
    view = Spectrogram(16, 8, 16)
    tone = torch.sin(2 * torch.pi * 5 / 32 * torch.arange(view.length))[None, None]
    seen = view.magnitude(tone).unflatten(-1, view.size)[0, 0]
    assert seen[:, 2:6].argmax(dim=0).tolist() == [5] * 4


@each_view
def test_silence_is_seen_and_shared_without_nan(view: View, generator: torch.Generator) -> None:
    mix, asked = torch.zeros(2, 1, view.length), weights(view, generator, 2, batch=2)
    assert torch.equal(view.picture(mix), torch.zeros_like(asked[:, 0]))
    assert torch.equal(view.masked(mix, asked), torch.zeros(2, 2, view.length))
    assert view.unmasked(mix, asked).isfinite().all() and view.sum(torch.zeros_like(asked)).isfinite().all()


@each_view
def test_sum_of_pictures_has_a_gradient_at_zero(view: View, generator: torch.Generator) -> None:
    pictures = torch.zeros_like(weights(view, generator, 2)).requires_grad_()
    view.sum(pictures).sum().backward()
    assert pictures.grad is not None and pictures.grad.isfinite().all()


@each_view
def test_signals_of_another_length_are_refused(view: View) -> None:
    with pytest.raises(InputError, match=rf"have 7 samples but this network sees .* cut or pad them to {view.length}"):
        view.picture(torch.rand(1, 1, 7))


@each_view
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_signals_that_are_not_finite_are_refused(view: View, bad: float) -> None:
    x = torch.full((1, 1, view.length), 0.5)
    x[0, 0, 3] = bad
    with pytest.raises(InputError, match=r"1 of .* samples are NaN or infinite"):
        view.picture(x)


def test_negative_pixels_are_refused_and_negative_samples_are_not() -> None:
    with pytest.raises(InputError, match=r"values down to -0\.5; use pixels in \[0, 1\]"):
        VIEWS["pixels"].magnitude(torch.full((1, 1, 24), -0.5))
    assert VIEWS["spectrogram"].magnitude(torch.full((1, 1, 128), -0.5)).min() >= 0


def test_pixels_of_bytes_are_refused() -> None:
    with pytest.raises(InputError, match="the pictures have values up to 255; divide them by it"):
        VIEWS["pixels"].picture(torch.full((1, 1, 24), 255.0))


@each_view
def test_mixes_of_several_channels_are_refused(view: View) -> None:
    with pytest.raises(InputError, match="the mixes have 2 channels; take them apart one channel at a time"):
        view.picture(torch.rand(1, 2, view.length))


def test_windows_that_do_not_overlap_by_half_are_refused() -> None:
    with pytest.raises(InputError, match="hop 17 is above half the window, 16"):
        Spectrogram(16, 8, 17)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (Pixels, "height", 0),
        (Pixels, "width", -1),
        (Pixels, "power", 0.0),
        (Spectrogram, "bins", 0),
        (Spectrogram, "frames", 0),
        (Spectrogram, "hop", 0),
        (Spectrogram, "power", -0.5),
    ],
)
def test_sizes_that_are_not_positive_are_refused(kind: type[View], name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"{kind.__name__}\.{name} is {value}; use"):
        kind(**{name: value})
