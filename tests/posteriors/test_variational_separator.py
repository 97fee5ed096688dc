"""The variational separator and its choice: encoder, fit, or the fit from where the encoder points."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from analytic import MIX, TWO, Gaussian, seeded

from srcsep_core.baselines.base import Given, method_of
from srcsep_core.data.mixes import MixConfig
from srcsep_core.data.toy import ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.posteriors.encoder import Encoder, EncoderConfig
from srcsep_core.posteriors.separator import VariationalSeparator, least_doubtful
from srcsep_core.posteriors.truncated_normal import TruncatedNormal
from srcsep_core.posteriors.variational import RefineConfig
from srcsep_core.priors.encoder import EncoderSet
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps import VALUES, prior_step
from srcsep_core.run.steps.choices import PriorChoice, VariationalChoice
from srcsep_core.run.steps.separation import SeparateMixes
from srcsep_core.run.store import Store
from srcsep_core.samplers import GibbsConfig

NAMES = ("sine", "square")
FIT = RefineConfig(steps=20)
CHAINS = GibbsConfig(levels=2, max_chains=2, accept=0.0)
PRIORS = dict(zip(NAMES, TWO, strict=True))


def encoder() -> EncoderSet:
    net = Encoder(EncoderConfig(layers=2, width=8, head_width=8, window=4), 2).double().eval()
    return EncoderSet(NAMES, ToyWorld(), 0.0, pd.DataFrame(), Path(), net)


def test_estimates_are_the_means_and_add_up_to_the_mix() -> None:
    mixes = MIX.expand(3, 1, -1)
    for separator in (
        VariationalSeparator({}, encoder()),
        VariationalSeparator(PRIORS, None, FIT),
        VariationalSeparator(PRIORS, encoder(), FIT),
        VariationalSeparator(PRIORS, encoder(), reorder=True),
        VariationalSeparator(PRIORS, encoder(), chains=CHAINS),
        VariationalSeparator(PRIORS, encoder(), FIT, reorder=True, chains=CHAINS, propose=True),
    ):
        first, again = (separator.separate(mixes, NAMES, seeded(1)) for _ in range(2))
        assert first.sources.shape == (3, 2, 4) and torch.equal(first.sources, again.sources)
        torch.testing.assert_close(first.sources.mean(dim=1, keepdim=True), mixes)
        if separator.chains is not None:
            assert first.chains.shape == (3, 2, 2, 4)
            continue
        means = separator.posterior(mixes, NAMES, seeded(1)).mean
        torch.testing.assert_close(first.sources[:, 0] - first.sources[:, 1], means[:, 0] - means[:, 1])


def test_the_method_is_the_encoder_alone_and_says_what_it_cannot_take() -> None:
    method, mixes = method_of("encoder"), MIX.expand(3, 1, -1)
    separator = method.make(Given(ToyWorld(), 4, encoder()))
    found = separator.separate(mixes, NAMES, seeded())
    expected = VariationalSeparator({}, encoder()).separate(mixes, NAMES, seeded())
    assert torch.equal(found.sources, expected.sources)
    assert method.supervision == "single sources" and method.apart
    with pytest.raises(InputError, match="there are 1 sources but this encoder was trained on mixes of 2; name as man"):
        separator.separate(mixes, NAMES[:1], seeded())
    with pytest.raises(InputError, match="the mix has 2 samples but this encoder works on 4; cut it"):
        separator.separate(mixes[..., :2], NAMES, seeded())


def test_what_an_encoder_swapped_is_put_in_the_least_doubtful() -> None:
    """Of two priors that lie apart, one of them narrow: each mix on its own, and only the order changes."""
    priors = [Gaussian(0.8, 0.01), Gaussian(-0.4, 0.1)]
    right = torch.tensor([0.8, -0.4])[:, None].expand(2, 4)
    location = torch.stack([right, right.flip(0)]).double()
    scale = torch.stack([torch.full_like(right, 0.1), torch.full_like(right, 0.2)]).double()
    mix = location.mean(dim=1, keepdim=True)
    found = least_doubtful(mix, TruncatedNormal(location, scale), priors, seeded())
    assert torch.equal(found.location, right.double().expand(2, -1, -1)) and torch.equal(found.scale, scale)
    kept = least_doubtful(mix, TruncatedNormal(location, scale), priors[::-1], seeded())
    assert torch.equal(kept.location, right.flip(0).double().expand(2, -1, -1))


def test_neither_is_named() -> None:
    with pytest.raises(InputError, match=r"there is neither an encoder nor a fit; pass one of them"):
        VariationalSeparator(PRIORS)
    with pytest.raises(InputError, match=r"no encoder whose posteriors could be put in order; pass one"):
        VariationalSeparator(PRIORS, None, FIT, reorder=True)
    for part in (VariationalSeparator(PRIORS, None, FIT, chains=CHAINS), VariationalSeparator(PRIORS, encoder())):
        with pytest.raises(InputError, match=r"proposals are an encoder's draws to Gibbs chains; pass both"):
            replace(part, propose=True)


def test_proposals_are_as_wide_as_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """At every level of the chains the same share of it, about where the encoder points."""
    seen = []

    def watched(self: TruncatedNormal, generator: torch.Generator | None = None) -> torch.Tensor:
        seen.append((float(self.scale[0, 0, 0]), self.high, self.location))
        return drawn(self, generator)

    drawn = TruncatedNormal.rsample
    monkeypatch.setattr(TruncatedNormal, "rsample", watched)
    separator = VariationalSeparator(PRIORS, encoder(), chains=replace(CHAINS, max_chains=1), propose=True)
    found = separator.posterior(MIX[None, None], NAMES, seeded())
    result = separator.separate(MIX[None, None], NAMES, seeded())
    share = float(found.scale[0, 0, 0]) / 0.05
    for (scale, high, location), sigma in zip(seen[1:], (CHAINS.sigma_max, CHAINS.sigma_min), strict=True):
        assert scale == pytest.approx(share * sigma) and high == pytest.approx(1 + 4 * sigma)
        assert torch.equal(location, found.location)
    assert result.trace["taken"].between(0, 1).all()


@pytest.mark.parametrize("fitted", [False, True])
def test_the_choice_is_trained_and_measured_as_any_separator(fitted: bool, tmp_path: Path) -> None:
    profile, pipeline = get_profile("smoke"), Pipeline(Store(tmp_path), train=True)
    step = prior_step(profile, "encoder")
    quick = replace(step, train=replace(step.train, steps=2), teacher=None)
    choice = VariationalChoice(PriorChoice("oracle", ToyWorld()), quick, FIT if fitted else None)
    assert choice.labels == ("oracle", "encoder-fit" if fitted else "encoder") and choice.supervision == "truth"
    mixes = SeparateMixes(ToyWorld(), MixConfig(NAMES, 2, 256), choice)
    values = pd.read_csv(pipeline.run(mixes) / VALUES)
    assert len(values) == 4 and values["si_sdri"].notna().all()
    curve = pd.read_csv(pipeline.run(quick) / "curve.csv")
    assert {"likelihood", "prior", "entropy"} <= set(curve)
    assert replace(mixes, choice=replace(choice, fit=RefineConfig(steps=30))).key != mixes.key
