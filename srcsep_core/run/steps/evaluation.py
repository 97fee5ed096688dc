"""The steps that evaluate priors: cross-likelihood, noise curve, constant and random inputs.

What is evaluated is a `Subject`: a trained set of priors, or the oracle, at one noise level.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from srcsep_core import diagnostics
from srcsep_core.checks import check_multiple
from srcsep_core.config import resolved
from srcsep_core.data.base import EvalConfig, World
from srcsep_core.errors import InputError
from srcsep_core.priors.kinds import oracle_of
from srcsep_core.priors.sets import LikelihoodSet
from srcsep_core.run.steps.base import VALUES, Context, Step
from srcsep_core.run.steps.training import TrainPriors, load_priors
from srcsep_core.training.config import own_noise

ORACLE_BATCH = 128


@dataclass(frozen=True)
class Subject:
    """What is evaluated: priors trained by a step, or the oracle (None), of the world `data` at level `sigma`."""

    trained: TrainPriors | None
    data: World
    sigma: float

    @property
    def model(self) -> str:
        """The kind of prior, or oracle."""
        return "oracle" if self.trained is None else self.trained.model

    @property
    def title(self) -> str:
        """A readable, file-safe name."""
        if self.trained is None:
            return f"oracle-{self.data.variant}-sigma{self.sigma:g}"
        own = self.trained.train.noise_sigma
        return self.trained.title + ("" if self.sigma == own else f"-at{self.sigma:g}")

    @property
    def elsewhere(self) -> bool:
        """Whether the priors were trained on another world than the one that they are asked about."""
        return self.trained is not None and self.trained.data != self.data

    @property
    def in_full(self) -> bool:
        """Whether this is the oracle or one of the paper's own sets, which everything is measured of."""
        trained = self.trained
        if trained is None or not trained.train.noise_sigma:
            return trained is None or not trained.conditional
        return trained.initial is not None and trained.train.noise == own_noise(trained.train.objective)

    @property
    def facts(self) -> dict[str, Any]:
        """The columns that say which priors a row is about."""
        trained = self.trained
        return {
            "model": self.model,
            "objective": "" if trained is None else trained.train.objective,
            **_training(trained),
            "world": self.data.name,
            "variant": self.data.variant,
            "prior_sigma": self.sigma,
        }

    def load(self, context: Context) -> LikelihoodSet:
        """The priors, in evaluation mode on the device of `context`; `InputError` if they have no likelihood."""
        if self.trained is None:
            return oracle_of(self.data, self.sigma)
        priors = load_priors(self.trained, context.run(self.trained), context.device)
        if not isinstance(priors, LikelihoodSet):
            raise InputError(
                f"the priors {self.trained.title} have no likelihood that is evaluated; separate with them"
            )
        return priors.at(self.sigma) if self.trained.conditional else priors


def _training(trained: TrainPriors | None) -> dict[str, str]:
    """How priors were trained: the way, the weights that it began from, and the noise on the signals."""
    if trained is None:
        return {"training": "", "initial": "", "noise": ""}
    noisy = trained.train.noise_sigma > 0
    plain = "conditional" if trained.conditional else ("scratch" if noisy else "noise-free")
    return {
        "training": "fine-tuned" if trained.initial else plain,
        "initial": "noise-free" if trained.initial else "fresh",
        "noise": trained.train.noise if noisy or trained.conditional else "",
    }


@dataclass(frozen=True)
class Evaluation(Step):
    """A table of single values of one subject; subclasses say which."""

    subject: Subject

    @property
    def title(self) -> str:
        return f"{self.name}-{self.subject.title}-{self.inputs}"

    @property
    @abstractmethod
    def inputs(self) -> str:
        """Which signals, as part of a file-safe title."""

    @property
    def parents(self) -> tuple[Step, ...]:
        return () if self.subject.trained is None else (self.subject.trained,)

    version = 2

    @property
    def config(self) -> dict[str, Any]:
        subject = {
            "model": self.subject.model,
            "data": self.subject.data.fingerprint,
            "sigma": float(self.subject.sigma),
        }
        return {"subject": subject, **self.settings}

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the values depend on besides the subject."""

    def batch(self, size: int, length: int) -> int:
        """How many signals of `length` samples to evaluate at once; `size` unless the model has its own best.

        A call of the oracle costs as such; other kinds say how many samples suit them.
        """
        if self.subject.trained is None:
            return ORACLE_BATCH
        samples = self.subject.trained.kind.batch_samples
        return max(1, samples // length) if samples else size

    @abstractmethod
    def evaluate(self, priors: LikelihoodSet, progress: bool) -> pd.DataFrame:
        """The table."""

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        table = self.evaluate(self.subject.load(context), context.progress)
        table.to_csv(folder / VALUES, index=False, float_format="%.9g")
        return {"device": context.device.type}


@dataclass(frozen=True)
class CrossLikelihood(Evaluation):
    """Every test signal under every prior."""

    evaluation: EvalConfig

    name = "cross-likelihood"

    @property
    def inputs(self) -> str:
        config = self.evaluation
        amplitude = "" if config.amplitude == "evaluation" else f"-{config.amplitude}-amplitude"
        noise = f"-noise{config.data_sigma:g}" if config.data_sigma else ""
        return f"{config.signals}x{config.length}{amplitude}{noise}"

    @property
    def settings(self) -> dict[str, Any]:
        evaluation: dict[str, Any] = resolved(self.evaluation)
        del evaluation["batch_size"]
        return {"evaluation": evaluation}

    def evaluate(self, priors: LikelihoodSet, progress: bool) -> pd.DataFrame:
        config = self.evaluation
        check_length(priors, config.length)
        signals = self.subject.data.test_set(config)
        return diagnostics.likelihood_table(
            priors, signals, batch_size=self.batch(config.batch_size, config.length), progress=progress
        )


@dataclass(frozen=True)
class NoiseCurve(Evaluation):
    """Test signals at every noise level under their own source's prior."""

    evaluation: EvalConfig
    data_sigmas: tuple[float, ...] = diagnostics.DATA_SIGMAS

    name = "noise-curve"

    @property
    def inputs(self) -> str:
        return f"{self.evaluation.signals}x{self.evaluation.length}"

    @property
    def settings(self) -> dict[str, Any]:
        evaluation: dict[str, Any] = resolved(self.evaluation)
        del evaluation["batch_size"], evaluation["data_sigma"]
        return {"evaluation": evaluation, "data_sigmas": list(self.data_sigmas)}

    def evaluate(self, priors: LikelihoodSet, progress: bool) -> pd.DataFrame:
        config = self.evaluation
        check_length(priors, config.length)
        signals = {s: self.subject.data.test_set(config, sigma=s) for s in self.data_sigmas}
        return diagnostics.noise_curve_table(
            priors, signals, batch_size=self.batch(config.batch_size, config.length), progress=progress
        )


@dataclass(frozen=True)
class ConstantInput(Evaluation):
    """Constant signals, over -1..1 if no `levels` are named, under every prior."""

    length: int
    levels: tuple[float, ...] = diagnostics.CONSTANT_LEVELS

    name = "constant-input"

    @property
    def inputs(self) -> str:
        return str(self.length)

    @property
    def settings(self) -> dict[str, Any]:
        return {"length": self.length, "levels": list(self.levels)}

    def evaluate(self, priors: LikelihoodSet, progress: bool) -> pd.DataFrame:
        check_length(priors, self.length)
        evaluate = diagnostics.single(priors)
        batch = self.batch(8, self.length)
        return diagnostics.constant_table(evaluate, priors.sources, self.length, self.levels, batch_size=batch)


@dataclass(frozen=True)
class RandomInput(Evaluation):
    """Gaussian noise of ten standard deviations under every prior, `draws` of each."""

    length: int
    draws: int
    seed: int = 4321

    name = "random-input"

    @property
    def inputs(self) -> str:
        return f"{self.draws}x{self.length}"

    @property
    def settings(self) -> dict[str, Any]:
        sigmas = list(diagnostics.RANDOM_SIGMAS)
        return {"length": self.length, "draws": self.draws, "seed": self.seed, "input_sigmas": sigmas}

    def evaluate(self, priors: LikelihoodSet, progress: bool) -> pd.DataFrame:
        check_length(priors, self.length)
        return diagnostics.random_table(
            diagnostics.single(priors),
            priors.sources,
            self.length,
            draws=self.draws,
            seed=self.seed,
            batch_size=self.batch(8, self.length),
        )


def check_length(priors: LikelihoodSet, length: int) -> None:
    """Raise `InputError` if the priors cannot take signals of `length` samples."""
    check_multiple("test signal", length, priors.multiple_of)
