"""Nothing trains unasked: what training would cost, and the sentence that says what is missing and what makes it."""

from __future__ import annotations

from collections.abc import Sequence

from srcsep_core.paths import checkout
from srcsep_core.run.profiles import PROFILES
from srcsep_core.run.steps import TrainPriors
from srcsep_core.run.steps.training import FAMILY

NAMED = 3


def refusal(steps: Sequence[TrainPriors]) -> str:
    """What to say where `steps`, parents first, are not trained and nobody asked for their training.

    Names the command that trains the last, where the others are what that one starts from.
    """
    last = steps[-1]
    if {step.key for step in steps} <= {step.key for step in _line_of(last)}:
        missing, remedies = f"the priors {last.title} are not trained", [f"train them with `{command(last)}`"]
    else:
        names = ", ".join(step.title for step in steps[:NAMED])
        rest = f" and {len(steps) - NAMED} more" if len(steps) > NAMED else ""
        missing, remedies = f"{len(steps)} sets of priors are not trained ({names}{rest})", []
    if checkout() is None:
        remedies.append("take over those of a checkout with `srcsep data priors --from CHECKOUT/data/pretrained`")
    remedies.append("pass train=True to train them now")
    return f"{missing}; {', or '.join(remedies)} ({cost(steps)})"


def command(step: TrainPriors) -> str:
    """The command that trains the step's priors, and few others of their kind."""
    words = [f"srcsep train -p {step.label.removesuffix(FAMILY)} --variant {step.data.trained_on} --model {step.model}"]
    if len(step.kind.objectives) > 1:
        words.append(f"--objective {step.train.objective}")
    if not (step.conditional or step.train.noise_sigma):
        words.append("--noise-free")
    return " ".join(words)


def cost(steps: Sequence[TrainPriors]) -> str:
    """How many steps of training, and about how long on one core; "time not measured" where no step was ever timed."""
    rates = [_step_seconds(step) for step in steps]
    known = [step.train.steps * rate for step, rate in zip(steps, rates, strict=True) if rate is not None]
    count = sum(step.train.steps for step in steps)
    time = f"about {_in_words(sum(known))} on one core" if len(known) == len(rates) else "time not measured"
    return f"{count} training steps, {time}"


def _line_of(step: TrainPriors) -> list[TrainPriors]:
    """The step, and those whose weights it starts from."""
    return [step] if step.initial is None else [*_line_of(step.initial), step]


def _step_seconds(step: TrainPriors) -> float | None:
    profile = PROFILES.get(step.label.removesuffix(FAMILY))
    if profile is None:
        return None
    profile = profile.of(step.data.trained_on)
    small = step.label.endswith(FAMILY) or step.model not in profile.kinds
    plan = (profile.families if small else profile.kinds).get(step.model)
    return plan.step_seconds if plan else None


def _in_words(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return "a minute"
