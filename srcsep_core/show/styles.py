"""How things look in every figure: one colour, marker and line for each source, protocol, prior and sampler.

The colours are of Okabe & Ito (2008) and of Tol's muted scheme, which colour-blind readers can tell apart. Those of
the sources are used for nothing else, and marker or line differ beside the hue, for print without colour.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from matplotlib import colormaps
from matplotlib.colors import to_hex

from srcsep_core.data.base import variants_of, world_of


@dataclass(frozen=True)
class Style:
    """A colour, a marker and a line style, as matplotlib names them."""

    colour: str
    marker: str
    linestyle: Any = "-"

    @property
    def line(self) -> dict[str, Any]:
        """The arguments of a plot that draws a line without marks."""
        return {"color": self.colour, "linestyle": self.linestyle}

    @property
    def marks(self) -> dict[str, Any]:
        """The arguments of a plot that draws marks without a line."""
        return {"color": self.colour, "marker": self.marker, "linestyle": ""}

    @property
    def marked(self) -> dict[str, Any]:
        """The arguments of a plot that draws a line with marks."""
        return self.line | {"marker": self.marker}


DASHDOTDOT, SPARSE, LONG, DENSE = (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2)), (0, (1, 1))

MIX = Style("#000000", "x", DASHDOTDOT)
LOOKS = (("o", "-"), ("s", "--"), ("D", "-."), ("^", ":"), ("v", DASHDOTDOT), ("P", LONG), ("X", SPARSE), ("*", "-"))
PRESETS = {
    "published": Style("#000000", "x", ":"),
    "released": Style("#E69F00", "o", "--"),
    "exact": Style("#332288", "s", "-"),
    "oracle": Style("#117733", "^", "-."),
}
# A prior that stands for a preset looks like it; others that were trained or read by it have its colour.
PRIORS = {
    "oracle": PRESETS["oracle"],
    "flow-likelihood-tuned": PRESETS["exact"],
    "flow-quarter_log_det-tuned": PRESETS["released"],
    "flow-likelihood": Style("#332288", "<", LONG),
    "flow-quarter_log_det": Style("#E69F00", ">", ":"),
    "flow-scratch": Style("#44AA99", "v", "--"),
    "flow-conditional": Style("#AA4499", "p", "-."),
    "flow-wide": Style("#777777", "h", LONG),
    "wavenet-published": Style("#000000", "+", SPARSE),
    "wavenet-likelihood": Style("#332288", "X", ":"),
    "wavenet-sigmoid": Style("#E69F00", "*", SPARSE),
    "pnf": Style("#999933", "P", DASHDOTDOT),
    "denoiser": Style("#882255", "D", "-"),
}
# Kinds of prior that are compared with each other.
FAMILIES = {
    "flowavenet": Style("#332288", "s", "-"),
    "nice": Style("#44AA99", "v", "--"),
    "realnvp": Style("#AA4499", "^", "-."),
    "glow": Style("#E69F00", "D", ":"),
    "mel-flow": Style("#000000", "P", "--"),
    "stft-flow": Style("#777777", "X", "-"),
    "vae": Style("#999933", "o", "-"),
    "beta-vae": Style("#882255", "<", "--"),
    "vq-vae": Style("#BBBBBB", ">", "-."),
}
SAMPLERS = {
    "gibbs": Style("#000000", "o", "-"),
    "gibbs-exchange": Style("#777777", "v", "--"),
    "langevin": Style("#44AA99", "s", "-."),
    "projection": Style("#AA4499", "D", ":"),
    "pnf": Style("#999933", "^", DASHDOTDOT),
    "langevin-unconstrained": Style("#882255", "x", SPARSE),
    "means": Style("#332288", "P", DENSE),
    "none": Style("#BBBBBB", "|", LONG),
}
METHODS = {
    "mix": Style("#BBBBBB", "|", LONG),
    "nmf": Style("#E69F00", "s", "--"),
    "convtasnet": Style("#117733", "^", "-."),
    "hdemucs": Style("#882255", "v", LONG),
    "irm": Style("#777777", "<", ":"),
    "ibm": Style("#777777", ">", SPARSE),
}
# Ways to take mixes apart of which no source has a name.
BLIND = {
    "x/K": Style("#BBBBBB", "|", LONG),
    "nmf-kl": Style("#E69F00", "s", "--"),
    "nmf-is": Style("#E69F00", "D", ":"),
    "fastica": Style("#777777", "P", "--"),
    "ibm": Style("#777777", ">", SPARSE),
    "irm": Style("#777777", "<", ":"),
    "ae": Style("#AA4499", "v", "--"),
    "aem": Style("#AA4499", "^", ":"),
    "vae": Style("#332288", "o", "--"),
    "vaem": Style("#332288", "*", "-"),
    "vaem-chosen": Style("#332288", "H", SPARSE),
    "vaem-grouped": Style("#332288", "v", ":"),
    "vaem-first": Style("#332288", "<", ":"),
    "mixit": Style("#44AA99", "X", "-."),
    "mixit-grouped": Style("#44AA99", "v", ":"),
    "glo": Style("#999933", "h", "-."),
    "nes": Style("#999933", "8", ":"),
    "pit": Style("#117733", "p", "-."),
    "pit-first": Style("#117733", "<", ":"),
    "denoiser-gibbs": Style("#882255", "d", "-"),
    "denoiser-means": Style("#882255", "P", ":"),
}
THRESHOLDS = {10: Style("#000000", "o", "-"), 20: Style("#999999", "s", "--")}
STATISTICS = {
    "log p": Style("#000000", "o", "-"),
    "likelihood ratio": Style("#882255", "s", "--"),
    "typicality": Style("#999933", "^", "-."),
    "log p + FLAC": Style("#44AA99", "D", ":"),
    "auroc": Style("#000000", "o", "-"),
    "accuracy": Style("#AA4499", "s", "--"),
}
# Kinds of failure (`metrics.FAILURE_KINDS`) fill bars.
FAILURES = {
    "swap": "#332288",
    "offset": "#44AA99",
    "edge": "#DDCC77",
    "wrong harmonic": "#882255",
    "other": "#BBBBBB",
    "silent": "#117733",
    "undefined": "#999933",
}

# The songs that priors of music are asked about.
SONGS = {
    "rendered": Style("#44AA99", "s", "--"),
    "rendered, unseen instruments": Style("#E69F00", "v", ":"),
    "excerpt": Style("#AA4499", "^", "-."),
    "musdb18": Style("#332288", "o", "-"),
}
OTHER = Style("#595959", "d", "-")
TRUTH = Style("#B3B3B3", "", "-")
BOUND = Style("#882255", "_", "--")
GUIDE = {"color": "0.7", "linewidth": 0.8, "zorder": 0}
LEVEL_MARKERS = "osD^vPX*"
# For what is in no table: a prior or a sampler that somebody added.
SPARE = tuple(
    Style(colour, marker, line)
    for (colour, line) in (("#999933", "--"), ("#44AA99", ":"), ("#AA4499", "-"), ("#777777", "-."))
    for marker in ("d", "8", "H", "<")
)


def source_style(name: str) -> Style:
    """The look of the first source named in `name` ("sine (estimate)" is a sine), else a neutral grey."""
    known = source_styles()
    return next((known[word] for word in re.findall(r"[a-z]+", name.lower()) if word in known), OTHER)


def source_styles() -> dict[str, Style]:
    """The look of every source that a world gives a colour, and of the mix."""
    worlds = [world_of(variant) for variant in variants_of()]
    looks = {name: LOOKS[k % len(LOOKS)] for world in worlds for k, name in enumerate(world.colours)}
    colours = {name: colour for world in worlds for name, colour in world.colours.items()}
    return {name: Style(colour, *looks[name]) for name, colour in colours.items()} | {"mix": MIX}


def preset_style(name: str) -> Style:
    """The look of `published`, `released`, `exact` or `oracle`; for any other name one that it always gets."""
    return _look_up(PRESETS, name)


def prior_style(name: str) -> Style:
    """The look of a prior of the benchmark, or of a WaveNet; for any other name one that it always gets."""
    return _look_up(PRIORS, name)


def family_style(name: str) -> Style:
    """The look of a kind of prior beside other kinds; for any other name one that it always gets."""
    return _look_up(FAMILIES, name)


def sampler_style(name: str) -> Style:
    """The look of a sampler; for any other name one that it always gets."""
    return _look_up(SAMPLERS, name)


def separator_style(name: str) -> Style:
    """The look of a sampler or of a method; for any other name one that it always gets."""
    return _look_up({**METHODS, **SAMPLERS}, name)


def blind_style(name: str) -> Style:
    """The look of a way of blind separation; for any other name one that it always gets."""
    return _look_up(BLIND, name)


def statistic_style(name: str) -> Style:
    """The look of a statistic by which sources are told apart; for any other name one that it always gets."""
    return _look_up(STATISTICS, name)


def songs_style(world: str) -> Style:
    """The style of a world of songs."""
    return _look_up(SONGS, world)


def setting_style(read: str, trained: str) -> Style:
    """The look of priors trained by one preset and read by another: that of the latter, unless the two differ.

    Then the colour is still that of the preset that they are read by.
    """
    style = preset_style(read)
    if read == trained:
        return style
    return replace(style, marker={"released": "D"}.get(trained, "v"), linestyle=DASHDOTDOT)


def level_style(index: int, count: int) -> Style:
    """The look of the `index`-th of `count` ordered things, such as noise levels: from dark to light."""
    colour = to_hex(colormaps["cividis"](index / max(1.0, count - 0.5)))
    return Style(colour, LEVEL_MARKERS[index % len(LEVEL_MARKERS)], "-")


def _look_up(table: Mapping[str, Style], name: str) -> Style:
    if name in table:
        return table[name]
    return SPARE[int.from_bytes(sha256(name.encode()).digest()[:4], "big") % len(SPARE)]
