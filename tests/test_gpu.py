"""The same numbers on a GPU as on the CPU, within what float32 and bfloat16 can hold."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from srcsep_core.data.base import world_of
from srcsep_core.data.toy import ToyWorld, draw_sources, draw_test_set
from srcsep_core.metrics import si_sdr
from srcsep_core.nn.denoiser import DenoiserConfig
from srcsep_core.nn.mu_law import SoftmaxNet
from srcsep_core.nn.stem_denoiser import SPECTRA, StemDenoiserConfig
from srcsep_core.priors.convtasnet import CONVTASNET, ConvTasNetConfig
from srcsep_core.priors.denoiser import DENOISER, ClassDenoiser, PreconditionedNet
from srcsep_core.priors.flow import Flow, FlowPrior
from srcsep_core.priors.flow_kind import objective_by_source
from srcsep_core.priors.flow_parts import ConditionalFlowConfig, FlowConfig
from srcsep_core.priors.flowavenet import FLOWAVENET, flowavenet
from srcsep_core.priors.hdemucs import HDEMUCS, HDemucsConfig
from srcsep_core.priors.kinds import Kind
from srcsep_core.priors.wavenet import WaveNetPrior, WaveNetPriorConfig, wavenet_task
from srcsep_core.run.profiles import get_profile
from srcsep_core.samplers import SAMPLERS, GibbsConfig, LangevinConfig, ProjectionConfig, State
from srcsep_core.samplers.means import MeansConfig
from srcsep_core.separate import SearchConfig, SeparateConfig, separate_audio
from srcsep_core.training.config import TrainConfig
from srcsep_core.training.loop import clip_gradients, new_network, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, PyTorch finds none"),
]

GPU = torch.device("cuda")
SONGS = world_of("songs_8k")
STEMS = StemDenoiserConfig(classes=2, channels=(8, 16), strides=(4,), middle=1, heads=2, window=4096)
# Nats a sample. On the CPU this network in float32 is 2e-7 away from itself in float64; a GPU adds up in another
# order. TensorFloat-32 would be off by about 1e-3.
FLOAT32_NATS = 1e-4
# With the networks in bfloat16 it is 5e-3 away on the CPU.
BFLOAT16_NATS = 5e-2


@pytest.fixture(autouse=True)
def full_precision() -> Iterator[None]:
    """No TensorFloat-32, which rounds the factors of every convolution to 3 digits."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.fixture
def flow(perturb: Callable[..., None]) -> Flow:
    """A laptop-sized network of four priors, no layer of which is the identity, on the CPU."""
    made = new_flow(get_profile("laptop").flow, groups=4, seed=0)
    made.source_terms(signals())
    perturb(made, 0.05)
    return made.eval()


def new_flow(config: FlowConfig, groups: int, seed: int) -> Flow:
    return cast(Flow, new_network(lambda: flowavenet(config, groups), seed))


def signals() -> Tensor:
    return draw_test_set(ToyWorld(), signals=4, length=1024, seed=0)


def on_gpu(flow: Flow) -> Flow:
    return copy.deepcopy(flow).to(GPU).eval()


@torch.no_grad()
def test_log_prob_is_that_of_the_cpu(flow: Flow) -> None:
    x = signals()
    ours = flow.log_prob(x) / x.shape[2]
    theirs = on_gpu(flow).log_prob(x.to(GPU)).cpu() / x.shape[2]
    torch.testing.assert_close(theirs, ours, rtol=0, atol=FLOAT32_NATS)


def test_score_is_that_of_the_cpu(flow: Flow) -> None:
    x = signals()[:, :1]
    ours = FlowPrior(flow.extract(0)).score(x)
    theirs = FlowPrior(on_gpu(flow).extract(0)).score(x.to(GPU)).cpu()
    assert (theirs - ours).norm() < 1e-3 * ours.norm()


@torch.no_grad()
def test_inverse_returns_the_waveform(flow: Flow) -> None:
    rows = signals().view(-1, 1, 1024).to(GPU)
    net = on_gpu(flow)
    torch.testing.assert_close(net.inverse(net.terms(rows).z), rows, rtol=0, atol=1e-3)


def test_one_training_step_is_that_of_the_cpu(flow: Flow) -> None:
    """The gradients, and the loss after a step of gradient descent along them."""
    config = TrainConfig(clip_norm=10.0)
    gradients, losses = [], []
    for net in (flow, on_gpu(flow)):
        x = signals().to(next(net.parameters()).device)
        objective_by_source(net.source_terms(x), "likelihood").sum().backward()
        clip_gradients(net, config)
        gradients.append(torch.cat([p.grad.flatten().cpu() for p in net.parameters() if p.grad is not None]))
        torch.optim.SGD(net.parameters(), lr=1e-4).step()
        losses.append(objective_by_source(net.source_terms(x), "likelihood").detach().cpu())
    ours, theirs = gradients
    assert (theirs - ours).norm() < 1e-3 * ours.norm()
    torch.testing.assert_close(losses[1], losses[0], rtol=0, atol=FLOAT32_NATS)


@torch.no_grad()
def test_mixed_precision_keeps_the_log_determinant_in_float32_and_the_likelihood_close(flow: Flow) -> None:
    x = signals().to(GPU)
    net = on_gpu(flow)
    exact = net.source_terms(x)
    with torch.autocast("cuda", torch.bfloat16):
        mixed = net.source_terms(x)
    assert mixed.log_det.dtype == mixed.log_pz.dtype == mixed.z.dtype == torch.float32
    assert not torch.equal(mixed.z, exact.z)
    for ours, theirs in zip(mixed[1:], exact[1:], strict=True):
        torch.testing.assert_close(ours.mean(dim=2), theirs.mean(dim=2), rtol=0, atol=BFLOAT16_NATS)


def train_on_gpu(config: TrainConfig, folder: Path) -> tuple[Flow, list[float]]:
    size = FlowConfig(blocks=2, flows=2, layers=2, width=4)
    task = FLOWAVENET.task(size, 4, config.objective)
    trained = train(task, ToyWorld(), config, device=GPU, work_folder=folder, run_key="gpu")
    return cast(Flow, trained.network), trained.curve["loss"].tolist()


SHORT = TrainConfig(steps=40, batch_size=4, crop=256, learning_rate=1e-3, checkpoint_every=20)


@pytest.mark.parametrize("mixed_precision", [False, True])
def test_training_lowers_the_loss(mixed_precision: bool, tmp_path: Path) -> None:
    flow, losses = train_on_gpu(replace(SHORT, mixed_precision=mixed_precision), tmp_path)
    assert next(flow.parameters()).is_cuda
    assert sum(losses[-4:]) < sum(losses[:4])


def test_finished_run_is_read_from_its_checkpoint(tmp_path: Path) -> None:
    first, _ = train_on_gpu(SHORT, tmp_path)
    again, _ = train_on_gpu(SHORT, tmp_path)
    for ours, theirs in zip(again.parameters(), first.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_signals_are_drawn_on_the_device_of_the_generator() -> None:
    x = draw_sources(ToyWorld(), 2, 64, torch.Generator(GPU).manual_seed(0))
    assert x.is_cuda
    assert x.abs().max() <= 1


def test_sample_is_drawn_on_the_gpu_from_a_generator_of_either_device(flow: Flow) -> None:
    prior = FlowPrior(on_gpu(flow).extract(0))
    for device in ("cpu", "cuda"):
        sample = prior.sample((1, 1, 64), torch.Generator(device).manual_seed(0))
        assert sample.is_cuda and sample.isfinite().all()


@pytest.fixture
def wavenet(perturb: Callable[..., None]) -> SoftmaxNet:
    """A laptop-sized network of four priors with random weights, on the CPU."""
    made = SoftmaxNet(get_profile("laptop").plan_of("wavenet").network, 4)
    perturb(made, 0.05)
    return made.eval()


@torch.no_grad()
def test_wavenet_log_prob_is_that_of_the_cpu(wavenet: SoftmaxNet) -> None:
    x = signals() + 0.3
    ours = wavenet.log_prob(x) / x.shape[2]
    theirs = wavenet.to(GPU).log_prob(x.to(GPU)).cpu() / x.shape[2]
    torch.testing.assert_close(theirs, ours, rtol=0, atol=FLOAT32_NATS)


def test_wavenet_samples_on_the_gpu_and_training_lowers_its_loss(wavenet: SoftmaxNet, tmp_path: Path) -> None:
    sample = WaveNetPrior(wavenet.to(GPU).extract(0)).sample((2, 1, 32), torch.Generator(GPU).manual_seed(0))
    assert sample.is_cuda and sample.isfinite().all()
    task = wavenet_task(WaveNetPriorConfig(layers=3, width=8, head_width=16), 4)
    losses = train(task, ToyWorld(), SHORT, device=GPU, work_folder=tmp_path, run_key="gpu").curve["loss"].tolist()
    assert sum(losses[-4:]) < sum(losses[:4])


def test_conditional_flow_is_trained_on_the_gpu(tmp_path: Path) -> None:
    size = ConditionalFlowConfig(blocks=2, flows=2, layers=2, width=4)
    trained = train(
        FLOWAVENET.task(size, 4, "likelihood"), ToyWorld(), SHORT, device=GPU, work_folder=tmp_path, run_key="gpu"
    )
    flow = cast(Flow, trained.network)
    with torch.no_grad():
        assert flow.log_prob(signals().to(GPU), 0.1).isfinite().all()


@pytest.fixture
def denoiser(perturb: Callable[..., None]) -> PreconditionedNet:
    """A small network of two denoisers with random weights, on the CPU."""
    made = PreconditionedNet(DenoiserConfig(classes=2, channels=(16, 32), strides=(4,), middle=1, heads=2, window=64))
    perturb(made, 0.05)
    return made.eval()


def test_denoiser_is_that_of_the_cpu(denoiser: PreconditionedNet) -> None:
    x, levels = signals()[:, :1, :64] + 0.3, (0.01, 0.3, 3.0)
    ours = [ClassDenoiser(denoiser, 1).denoise(x, sigma) for sigma in levels]
    theirs = [ClassDenoiser(denoiser.to(GPU), 1).denoise(x.to(GPU), sigma) for sigma in levels]
    for found, expected in zip(theirs, ours, strict=True):
        assert found.is_cuda
        torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("domain", SPECTRA)
def test_denoiser_of_stems_is_that_of_the_cpu(domain: str, perturb: Callable[..., None]) -> None:
    made = PreconditionedNet(replace(STEMS, domain=domain)).eval()
    perturb(made, 0.05)
    x = 0.1 * torch.randn(3, 1, STEMS.window, generator=torch.Generator().manual_seed(0))
    for sigma in (0.01, 0.1, 1.0):
        ours = ClassDenoiser(made.to("cpu"), 1).denoise(x, sigma)
        theirs = ClassDenoiser(made.to(GPU), 1).denoise(x.to(GPU), sigma)
        assert theirs.is_cuda
        torch.testing.assert_close(theirs.cpu(), ours, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (DENOISER, replace(STEMS, domain="spectrogram")),
        (CONVTASNET, ConvTasNetConfig(features=32, bottleneck=16, hidden=32, layers=3, stacks=1)),
        (HDEMUCS, HDemucsConfig(channels=4, depth=3, bins=64)),
    ],
)
def test_training_on_songs_lowers_the_loss(kind: Kind, config: object, tmp_path: Path) -> None:
    """The network listens to its class, or takes mixes apart, on the GPU; songs are rendered on the CPU."""
    plan = TrainConfig(steps=200, batch_size=2, crop=4096, learning_rate=2e-3, mixed_precision=True)
    task = kind.task(config, len(SONGS.sources), "likelihood")
    trained = train(task, SONGS, plan, device=GPU, work_folder=tmp_path)
    by_step = trained.curve.groupby("step")["loss"].mean()
    assert by_step.iloc[-8:].mean() < by_step.iloc[:2].mean() and by_step.notna().all()
    assert all(parameter.is_cuda for parameter in trained.network.parameters())


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("gibbs", GibbsConfig(levels=3, max_chains=2, estimate_gains=True)),
        ("langevin", LangevinConfig(levels=3, steps=4, max_chains=2)),
        ("projection", ProjectionConfig(levels=10, max_chains=2)),
        ("means", MeansConfig(levels=5, max_chains=2)),
    ],
)
def test_samplers_stay_on_the_gpu(name: str, config: object, denoiser: PreconditionedNet) -> None:
    priors = [ClassDenoiser(denoiser.to(GPU), label) for label in range(2)]
    mix = signals()[:, :2, :64].mean(dim=1, keepdim=True).to(GPU)
    seen: list[State] = []
    found, again = (
        SAMPLERS[name](mix, priors, config=config, generator=torch.Generator(GPU).manual_seed(0), callback=watch)
        for watch in (seen.append, None)
    )
    assert found.sources.is_cuda and found.chains.is_cuda and found.residual.is_cuda
    assert found.sources.shape == (4, 2, 64) and found.chains.shape == (4, 2, 2, 64)
    assert found.sources.isfinite().all() and all(state.sources.is_cuda for state in seen)
    torch.testing.assert_close(found.sources.mean(dim=1, keepdim=True), mix, rtol=0, atol=1e-4)
    torch.testing.assert_close(again.sources, found.sources, rtol=0, atol=1e-3)


def test_new_network_leaves_the_random_state_of_the_gpu_alone() -> None:
    before = torch.cuda.get_rng_state()
    new_flow(get_profile("smoke").flow, groups=2, seed=3)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_recording_is_separated_and_judged() -> None:
    config = SeparateConfig(device="cuda", gain=1.0, max_chains=1, search=SearchConfig(max_chains=1))
    waves = draw_sources(ToyWorld("uniform_hz", ("sine", "saw")), 1, 2048, torch.Generator().manual_seed(0))
    found = separate_audio(waves.mean(dim=1), 16_000, ["sine", "saw"], config)
    torch.testing.assert_close(found.stems.sum(dim=0), found.mix, rtol=0, atol=1e-5)
    assert found.evidence[0].notna().all(axis=None)


def test_song_is_separated_as_on_the_cpu() -> None:
    """With the shipped denoiser: the same stems but for the random numbers, which differ by device."""
    stems = SONGS.only(("drums", "vocals")).draw(1, 32_768, torch.Generator().manual_seed(0), split="validation")
    found = {
        device: separate_audio(
            stems.sum(dim=1), SONGS.sample_rate, ["drums", "vocals"], SeparateConfig(variant="songs_8k", device=device)
        )
        for device in ("cpu", "cuda")
    }
    ratios = [si_sdr(estimate=one.stems[:, 0], reference=stems[0]) for one in found.values()]
    torch.testing.assert_close(ratios[0], ratios[1], rtol=0, atol=2.0)
    torch.testing.assert_close(found["cuda"].stems.sum(dim=0), found["cuda"].mix, rtol=0, atol=1e-5)
