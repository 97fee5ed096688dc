"""The house takes a new world, kind of prior and separator as one file each: they are here, and nowhere else."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
import torch
from audio_files import write_audio
from click.testing import CliRunner
from torch import Tensor, nn

import srcsep_core.data
from srcsep_core.audio import read_audio
from srcsep_core.audit.tables import cross_likelihood_tables
from srcsep_core.baselines import base as methods
from srcsep_core.baselines.base import Estimator, Given, Method
from srcsep_core.benchmark.plans import plan_of
from srcsep_core.benchmark.settings import settings_of
from srcsep_core.cli import main
from srcsep_core.cli.separate import DOUBTFUL
from srcsep_core.data import base
from srcsep_core.data.base import EvalConfig, Split, World, register_world, variants_of, world_of
from srcsep_core.data.toy import ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.metrics import si_sdr
from srcsep_core.priors import kinds
from srcsep_core.priors.denoiser import DENOISER
from srcsep_core.priors.kinds import Kind, Task, register, restored
from srcsep_core.priors.sets import Trained
from srcsep_core.run import profiles
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.plans import EvalPlan, KindPlan
from srcsep_core.run.profiles import Profile, get_profile
from srcsep_core.run.steps import priors_of
from srcsep_core.run.store import Store
from srcsep_core.samplers import SAMPLERS, Sampler
from srcsep_core.show.styles import source_style
from srcsep_core.training.config import TrainConfig

CROP = 256


@dataclass(frozen=True)
class Thunder(World):
    """Two sources at 8 kHz: rumble, a cosine of 16 samples of any size, and hiss, white noise."""

    name: ClassVar[str] = "thunder"
    variant: str = "storm"
    sources: tuple[str, ...] = ("rumble", "hiss")

    @property
    def sample_rate(self) -> int:
        return 8000

    @property
    def typical_rms(self) -> Mapping[str, float]:
        return {"rumble": 0.5, "hiss": 0.1}

    @property
    def colours(self) -> Mapping[str, str]:
        return {"rumble": "#123456", "hiss": "#abcdef"}

    def draw(self, batch: int, length: int, generator: torch.Generator, *, split: Split = "train") -> Tensor:
        size = 0.5 * torch.randn(batch, 2, 1, generator=generator)
        time = 2 * math.pi * torch.arange(length) / 16
        rumble = size[:, :1] * time.cos() + size[:, 1:] * time.sin()
        hiss = 0.1 * torch.randn(batch, 1, length, generator=generator)
        waves = {"rumble": rumble, "hiss": hiss}
        return torch.cat([waves[name] for name in self.sources], dim=1)

    def only(self, sources: Sequence[str]) -> Thunder:
        return replace(self, sources=tuple(sources))


@dataclass(frozen=True)
class GaussianConfig:
    """A Gaussian of `length` samples."""

    length: int = CROP


class Gaussians(nn.Module):
    """One full covariance a source, by its Cholesky factor."""

    def __init__(self, config: GaussianConfig, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.factor = nn.Parameter(0.3 * torch.eye(config.length).repeat(groups, 1, 1))

    def covariance(self, sigma: float) -> Tensor:
        """(groups, T, T), with the noise of level `sigma`."""
        factor = self.factor.tril()
        return factor @ factor.mT + (sigma**2 + 1e-3) * torch.eye(factor.shape[1])

    def log_prob(self, x: Tensor, sigma: float) -> Tensor:
        """(B, groups, T) to (B, groups)."""
        mean = torch.zeros(self.groups, x.shape[2])
        return torch.distributions.MultivariateNormal(mean, self.covariance(sigma)).log_prob(x)


class GaussianPrior:
    """One of them."""

    def __init__(self, net: Gaussians, index: int) -> None:
        self.net, self.index = net, index

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        with torch.no_grad():
            own = self.net.covariance(0.0)[self.index]
            return x @ torch.linalg.solve(own + sigma**2 * torch.eye(len(own)), own)


@dataclass(frozen=True)
class GaussianSet(Trained):
    """All of them."""

    net: Gaussians

    @property
    def multiple_of(self) -> int:
        return CROP

    def at(self, sigma: float) -> GaussianSet:
        return self.other_level(sigma)

    @torch.no_grad()
    def likelihoods(self, x: Tensor) -> dict[str, Tensor]:
        return {"log_prob": self.net.log_prob(x, 0.0).double() / x.shape[2]}

    def prior(self, source: str) -> GaussianPrior:
        return GaussianPrior(self.net, self.index(source))


def gaussian_task(config: GaussianConfig, groups: int, objective: str) -> Task:
    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        assert isinstance(network, Gaussians)
        return -network.log_prob(x, 0.0).mean(dim=0)[None] / x.shape[2]

    return Task("gaussian", lambda: Gaussians(config, groups), losses, multiple_of=config.length)


def load_gaussians(
    config: GaussianConfig, weights: Mapping[str, Tensor], about: Trained, device: torch.device
) -> GaussianSet:
    return GaussianSet(**vars(about), net=restored(Gaussians(config, len(about.sources)), weights, device))


def wiener(given: Given) -> Estimator:
    """Shares out mixes (B, 1, CROP) by the covariances of the trained Gaussians."""
    priors: GaussianSet = given.trained

    def estimate(mix: Tensor, sources: Sequence[str], generator: torch.Generator) -> Tensor:
        own = priors.net.covariance(0.0).detach()[[priors.index(name) for name in sources]]
        share = torch.linalg.solve(own.sum(dim=0), len(sources) * mix.mT)  # (B, CROP, 1)
        return (own[None] @ share[:, None])[..., 0]

    return Estimator(estimate)


WIENER = Method("wiener", "single sources", wiener, model="gaussian")
GAUSSIAN = Kind("gaussian", "gaussian", "gaussian", GaussianConfig, gaussian_task, load_gaussians, density=True)
SHORT = EvalConfig(signals=8, length=CROP)
PROFILE = Profile(
    "smoke",
    noise_levels=(),
    kinds={
        "gaussian": KindPlan(
            GaussianConfig(),
            TrainConfig(steps=200, batch_size=64, crop=CROP, learning_rate=0.02, schedule="cosine", milestones=()),
        )
    },
    evaluation=SHORT,
    plan=EvalPlan(SHORT, SHORT, SHORT, SHORT, SHORT, input_lengths=(CROP, CROP), draws=(2, 2)),
)


@pytest.fixture
def moved_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The world, the kind and the separator are registered, and a profile has the kind's plan."""
    base.variants_of(), kinds.all_kinds(), methods.all_methods()
    monkeypatch.setitem(base._WORLDS, "thunder", base._Known(Thunder, ("storm",), False))
    monkeypatch.setitem(kinds._KINDS, "gaussian", GAUSSIAN)
    monkeypatch.setitem(methods._METHODS, "wiener", WIENER)
    monkeypatch.setitem(profiles.PROFILES, "smoke", PROFILE)


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved_in: None) -> Pipeline:
    monkeypatch.setenv("SRCSEP_CACHE", str(tmp_path / "cache"))
    return Pipeline(Store(tmp_path / "cache"), train=True)


def srcsep(*arguments: object) -> str:
    """What the command says, which succeeds; a separation by priors of seconds of training may be doubtful."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code in ((0, DOUBTFUL) if arguments[0] == "separate" else (0,)), result.output
    return result.output


def test_a_new_world_and_a_new_kind_are_trained_and_listed(line: Pipeline) -> None:
    printed = srcsep("train", "-p", "smoke", "--variant", "storm", "--model", "gaussian", "--device", "cpu")
    assert "gaussian-storm-smoke" in printed
    listed = srcsep("status", "-p", "smoke", "--variant", "storm", "--all")
    assert re.search(r"gaussian-storm-smoke +made", listed)
    assert "cross-likelihood-gaussian-storm-smoke" in listed


def test_they_are_evaluated_into_the_tables(line: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    (step,) = priors_of(PROFILE, "storm")
    values, discrimination = cross_likelihood_tables(line, PROFILE, "storm")
    assert set(values["world"]) == {"thunder"} and set(values["model"]) == {"gaussian"}
    assert set(values["source"]) == {"rumble", "hiss"}
    assert (discrimination["accuracy"].dropna() == 1).all(), "rumble and hiss are easily told apart"
    assert line.store.find(step.name, step.key) is not None


def test_they_are_benchmarked(line: Pipeline, tmp_path: Path) -> None:
    """By the command, in every group: two sources, another rate, no true density, and the separator in the table."""
    groups = [word for group in ("known", "baseline", "oracle", "causal", "unknown") for word in ("--group", group)]
    options = ("-p", "smoke", "--device", "cpu", "--variant", "storm", "--mixes", "4", "--out", tmp_path)
    assert "wiener" in srcsep("benchmark", *options, "--list")
    srcsep("benchmark", *options, *groups, "--train")
    table = pd.read_csv(tmp_path / "separation.csv", dtype={"control": str, "note": str})
    assert set(table["world"]) == {"thunder"} and set(table["sources"]) == {"rumble+hiss"}
    assert set(table["group"]) == {"known", "baseline", "causal"}, "there is no oracle"
    rows = table.set_index("prior")
    assert set(rows.loc["gaussian", "sampler"]) == {"gibbs-exchange", "gibbs", "langevin", "means", "projection"}
    assert rows.loc["wiener", "supervision"] == "single sources" and rows.loc["irm", "supervision"] == "truth"
    assert rows.loc["wiener", "si_sdri_mean"] > 5
    assert pd.read_csv(tmp_path / "separation_unknown.csv")["n_sources"].tolist() == [1, 2]


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_settings_are_those_of_a_world_of_any_number_of_sources(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    names = tuple(f"s{k}" for k in range(count))
    monkeypatch.setitem(base._WORLDS, "crowd", base._Known(lambda variant: Thunder(variant, names), ("crowd",), False))
    monkeypatch.setitem(profiles.PROFILES, "smoke", PROFILE)
    monkeypatch.setitem(kinds._KINDS, "gaussian", GAUSSIAN)
    plan = replace(plan_of(PROFILE), variants=("crowd",))
    settings = settings_of(PROFILE, plan)
    facts = [(s.group, s.control, s.step.choice.labels, s.step.mixes.sources) for s in settings]
    facts = [fact for fact, s in zip(facts, settings, strict=True) if s.group != "compute"]
    assert len(facts) == len(set(facts)) and "oracle" not in {group for group, *_ in facts}
    for group in ("known", "baseline", "causal", "controls"):
        assert names in {sources for found, _, _, sources in facts if found == group}
    assert {len(sources) for group, _, _, sources in facts if group == "known"} == {2, min(3, count), count}
    assert max(len(sources) for *_, sources in facts) == min(2 * count, 8)
    monkeypatch.setitem(
        base._WORLDS, "crowd", base._Known(lambda variant: Thunder(variant, names[:1]), ("crowd",), False)
    )
    with pytest.raises(InputError, match=r"crowd has 1 source\(s\); use a world of 2 to 8"):
        settings_of(PROFILE, plan)


def test_a_file_in_the_folder_of_worlds_is_found_whenever_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after others were imported; and a name before theirs in the alphabet does not make it the default."""
    default = world_of()
    (tmp_path / "aardvark.py").write_text(
        "from srcsep_core.data.base import register_world\nfrom test_house import Thunder\n"
        "register_world('aardvark', Thunder, ('burrow',))\n"
    )
    monkeypatch.setattr(srcsep_core.data, "__path__", [*srcsep_core.data.__path__, str(tmp_path)])
    try:
        assert variants_of()["burrow"] == "aardvark" and isinstance(world_of("burrow"), Thunder)
        assert world_of() == default and next(iter(variants_of())) == default.variant
        with pytest.raises(InputError, match="there is a world called 'aardvark' already"):
            register_world("aardvark", Thunder, ("den",))
    finally:
        base._WORLDS.pop("aardvark", None)
        sys.modules.pop("srcsep_core.data.aardvark", None)


@pytest.mark.parametrize("count", [2, 5])
def test_denoiser_is_as_large_as_the_world(count: int, generator: torch.Generator) -> None:
    names = tuple(f"s{k}" for k in range(count))
    config = get_profile("smoke").plan_of("denoiser").network
    task = DENOISER.task(config, count, "likelihood")
    network = task.build()
    x = torch.randn(3, count, config.window, generator=generator)
    assert task.losses(network, x, generator).isfinite().all()
    about = Trained(names, Thunder("crowd", names), 0.0, pd.DataFrame(), Path())
    priors = DENOISER.load(config, network.state_dict(), about, torch.device("cpu"))
    assert priors.prior(names[-1]).denoise(x[:, :1], 0.5).shape == (3, 1, config.window)


def test_a_new_sampler_is_benchmarked_under_the_main_prior(moved_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Patience:
        steps: int = 3

    plan = replace(plan_of(PROFILE), variants=("storm",))
    assert "patient" not in {setting.step.choice.labels[1] for setting in settings_of(PROFILE, plan, ["causal"])}
    monkeypatch.setitem(SAMPLERS, "patient", Sampler(lambda *_, **__: None, Patience, None))  # type: ignore
    found = [
        s.step.choice.labels for s in settings_of(PROFILE, plan, ["causal"]) if s.step.choice.labels[1] == "patient"
    ]
    assert found == [("gaussian", "patient")]


def test_they_separate_a_file(line: Pipeline, tmp_path: Path) -> None:
    drawn = Thunder().draw(1, 4 * CROP, torch.Generator().manual_seed(1))[0]
    write_audio(tmp_path / "mix.wav", drawn.mean(dim=0, keepdim=True), 8000)
    names = ("--sources", "rumble,hiss", "--prior", "gaussian", "--variant", "storm", "-p", "smoke", "--gain", "1")
    srcsep("separate", tmp_path / "mix.wav", "--out", tmp_path / "stems", "--device", "cpu", *names, "--train")
    rumble = read_audio(tmp_path / "stems" / "01_rumble.wav").samples
    assert float(si_sdr(estimate=rumble, reference=drawn[:1] / 2)) > 10
    assert json.loads((tmp_path / "stems" / "separation.json").read_text())["settings"]["prior"] == "gaussian"


def test_the_separator_separates_a_file(line: Pipeline, tmp_path: Path) -> None:
    drawn = Thunder().draw(1, 4 * CROP, torch.Generator().manual_seed(1))[0]
    mix = write_audio(tmp_path / "mix.wav", drawn.mean(dim=0, keepdim=True), 8000)
    names = ("--sources", "rumble,hiss", "--method", "wiener", "--variant", "storm", "-p", "smoke", "--gain", "1")
    srcsep("separate", mix, "--out", tmp_path / "stems", "--device", "cpu", *names, "--train")
    rumble = read_audio(tmp_path / "stems" / "01_rumble.wav").samples
    assert float(si_sdr(estimate=rumble, reference=drawn[:1] / 2)) > 5
    settings = json.loads((tmp_path / "stems" / "separation_details.json").read_text())["settings"]
    assert (settings["method"], settings["supervision"], settings["window"]) == ("wiener", "single sources", CROP)
    assert "wiener" in srcsep("separate", "--help")


def test_its_sources_look_as_it_says_and_are_told_apart_without_colour(moved_in: None) -> None:
    rumble, hiss = source_style("rumble (estimate)"), source_style("hiss")
    assert (rumble.colour, hiss.colour) == ("#123456", "#abcdef")
    assert rumble.marker != hiss.marker and rumble.linestyle != hiss.linestyle
    assert source_style("sine").colour == ToyWorld().colours["sine"]


def test_what_is_not_there_is_named_with_what_is(moved_in: None) -> None:
    with pytest.raises(
        InputError, match=r"unknown variant 'drizzle'; use one of whole_periods, uniform_hz, piano_keys.*storm"
    ):
        world_of("drizzle")
    with pytest.raises(InputError, match="there is a kind of prior called 'gaussian' already"):
        register(replace(GAUSSIAN, step="other"))
    with pytest.raises(InputError, match="there is a method called 'wiener' already"):
        methods.register(replace(WIENER, supervision="nothing"))
    assert pd.Series(kinds.all_kinds()).index.is_unique
