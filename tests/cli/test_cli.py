"""The command line: one plain sentence for a mistake, exit code 1, and no work done twice."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from audio_files import write_audio
from click.testing import CliRunner, Result

from srcsep_core import __version__
from srcsep_core.audio import read_audio
from srcsep_core.cli import main
from srcsep_core.cli.status import detail_lines, group_lines
from srcsep_core.data.toy import SOURCES, ToyWorld, draw_test_set
from srcsep_core.run import pipeline, steps
from srcsep_core.run.profiles import PROFILES, get_profile


@pytest.fixture(autouse=True)
def only_this_cache(cache_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and nothing shipped."""
    monkeypatch.setattr(pipeline, "shipped_root", lambda: tmp_path / "shipped")


def srcsep(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def train_smoke(*options: str) -> Result:
    return srcsep(
        "train",
        "-p",
        "smoke",
        "--model",
        "flowavenet",
        "--noise-free",
        "--objective",
        "likelihood",
        "--device",
        "cpu",
        *options,
    )


def test_version() -> None:
    assert __version__ in srcsep("--version").output


@pytest.mark.parametrize("command", ["separate", "evaluate", "train", "status", "notebooks", "likelihood"])
def test_help_of_every_command(command: str) -> None:
    assert command in srcsep("--help").output
    assert srcsep(command, "--help").exit_code == 0


@pytest.mark.parametrize("arguments", [(), ("stems", "--reference", "truth", "--permute"), ("--help",)])
def test_old_name_of_evaluate_says_where_it_went(arguments: tuple[str, ...]) -> None:
    result = srcsep("score", *arguments)
    assert result.exit_code == 2 and result.stdout == ""
    assert len(result.stderr.splitlines()) == 1 and "`srcsep evaluate`" in result.stderr
    assert "  score " not in srcsep("--help").output


def test_status_of_an_empty_cache_has_a_line_for_every_kind_of_step_and_a_summary(cache_folder: Path) -> None:
    result = srcsep("status", "-p", "smoke")
    assert result.exit_code == 0
    *lines, summary = result.output.splitlines()
    counts = Counter(step.name for step in steps.steps_of(get_profile("smoke")))
    assert [line.split() for line in lines] == [[name, str(count), "missing"] for name, count in counts.items()]
    every = sum(counts.values())
    assert summary == f"whole_periods, smoke: {every} steps, {every} missing; cache: {cache_folder}"
    assert not cache_folder.exists()


def test_status_of_all_steps_has_a_line_for_each() -> None:
    *lines, summary = srcsep("status", "-p", "smoke", "--all").output.splitlines()
    assert [line.split() for line in lines] == [
        [step.title, "missing"] for step in steps.steps_of(get_profile("smoke"))
    ]
    assert f"{len(lines)} missing" in summary


def test_status_says_what_is_damaged_and_leaves_it_where_it_is(cache_folder: Path) -> None:
    weights = Path(train_smoke().output.split()[-1]) / steps.WEIGHTS
    weights.write_bytes(b"")
    before = {path: path.read_bytes() for path in cache_folder.rglob("*") if path.is_file()}
    for options in ((), ("--all",)):
        result = srcsep("status", "-p", "smoke", *options)
        assert result.stderr == ""
        (line,) = [line for line in result.stdout.splitlines() if "damaged" in line and "bytes instead of" in line]
        assert str(weights.parent) in line and weights.name in line
        assert ", 1 damaged, " in result.stdout.splitlines()[-1]
    assert {path: path.read_bytes() for path in cache_folder.rglob("*") if path.is_file()} == before


def test_status_fits_a_screen_whatever_is_wrong() -> None:
    wrong = [pipeline.StepStatus(step, "damaged", "why") for step in steps.steps_of(get_profile("laptop"))]
    kinds, details = group_lines(wrong), detail_lines(wrong)
    assert len(kinds) + len(details) < 24 and len(details) > 2
    assert details[-1] == f"and {len(wrong) - len(details) + 1} more: `srcsep status --all`"


def test_status_says_what_an_old_cache_is_called_now(cache_folder: Path) -> None:
    (cache_folder / "score-prior").mkdir(parents=True)
    assert "not read: score-prior, which is called denoiser-prior now" in srcsep("status", "-p", "smoke").output


def test_verbose_status_shows_configurations_and_keys() -> None:
    output = srcsep("status", "-p", "smoke", "--variant", "uniform_hz", "--verbose").output
    assert '"variant": "uniform_hz"' in output
    assert output.count('"key"') == len(steps.steps_of(get_profile("smoke"), "uniform_hz"))


def test_train_makes_the_priors_once(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train_smoke()
    assert first.exit_code == 0
    path = first.output.split()[-1]
    assert (Path(path) / steps.WEIGHTS).exists()
    assert path.startswith(str(cache_folder))

    monkeypatch.setattr(steps.training, "train", None)
    again = train_smoke()
    assert again.exit_code == 0
    assert again.output.split()[-1] == path
    status = srcsep("status", "-p", "smoke", "--all").output.splitlines()
    states = [line.split()[1] for line in status[:-1]]
    assert states == ["made"] + ["missing"] * (len(steps.steps_of(get_profile("smoke"))) - 1)


@pytest.mark.parametrize(
    ("arguments", "value", "remedy"),
    [
        (["status", "-p", "huge"], "unknown profile 'huge'", "smoke, laptop, full"),
        (["train", "-p", "huge"], "unknown profile 'huge'", "smoke, laptop, full"),
        (["status", "--variant", "relased"], "unknown variant 'relased'", "whole_periods, uniform_hz, piano_keys"),
        (
            ["train", "-p", "smoke", "--variant", "relased"],
            "unknown variant 'relased'",
            "whole_periods, uniform_hz, piano_keys",
        ),
        (["train", "-p", "smoke", "--device", "gpu"], "unknown device 'gpu'", "auto, cpu or cuda"),
        (
            ["train", "-p", "smoke", "--model", "waveglow"],
            "unknown model 'waveglow'",
            "flowavenet, glow, hdemucs",
        ),
        (["train", "-p", "smoke", "--objective", "exakt"], "unknown objective 'exakt'", "likelihood, quarter_log_det"),
        (["status", "--variant", "paper"], "unknown variant 'paper'", "it is now called uniform_hz"),
        (["train", "-p", "smoke", "--model", "score"], "unknown model 'score'", "it is now called denoiser"),
        (["likelihood", "a.wav", "-p", "smoke", "--objective", "sigmoid"], "'sigmoid'", "likelihood, quarter_log_det"),
        (
            ["train", "-p", "smoke", "--model", "flowavenet", "--objective", "sigmoid"],
            "no priors for --model flowavenet with --objective sigmoid",
            "leave one of these out",
        ),
        (
            ["train", "-p", "smoke", "--noise-free", "--model", "denoiser"],
            "the profile smoke has no priors for --model denoiser with --noise-free",
            "leave one of these out",
        ),
        (
            ["train", "-p", "smoke", "--noise-free", "--model", "flowavenet", "--model", "pnf"],
            "the profile smoke has no priors for --model pnf with --noise-free",
            "leave one of these out",
        ),
        (["train", "-p", "smoke", "--objective", "exact"], "unknown objective 'exact'", "it is now called likelihood"),
    ],
)
def test_mistake_is_one_sentence_with_the_value_and_the_remedy(arguments: list[str], value: str, remedy: str) -> None:
    result = srcsep(*arguments)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert value in result.output and remedy in result.output
    assert len(result.output.splitlines()) == 1


def test_likelihood_of_a_file_under_every_prior(tmp_path: Path) -> None:
    x = draw_test_set(ToyWorld(), 1, 602, seed=0)[0, :1]
    path = str(write_audio(tmp_path / "sine.wav", x, 14_700))
    unasked = srcsep("likelihood", path, "-p", "smoke", "--device", "cpu")
    assert unasked.exit_code == 1 and "the priors flow-whole_periods-smoke-likelihood are not trained" in unasked.output
    result = srcsep("likelihood", path, "-p", "smoke", "--device", "cpu", "--train")
    assert result.exit_code == 0
    *rows, conclusion = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["prior", "log_likelihood"]
    table = {prior: float(value) for prior, value in rows[1:]}
    assert list(table) == list(SOURCES)
    priors = pipeline.Pipeline().priors(steps.prior_step(get_profile("smoke"), "flowavenet"))
    heard = read_audio(tmp_path / "sine.wav").samples[None, :, :600]
    for name, value in table.items():
        assert value == pytest.approx(priors.prior(name).log_prob(heard).item() / 600, abs=1e-3)
    assert conclusion[-1] == max(table, key=lambda name: table[name])
    both = str(write_audio(tmp_path / "both.wav", x.expand(2, -1), 14_700))
    assert "average them with --mono" in srcsep("likelihood", both, "-p", "smoke", "--device", "cpu").output
    averaged = srcsep("likelihood", both, "-p", "smoke", "--device", "cpu", "--mono")
    assert averaged.stdout == result.stdout


def test_mistake_leaves_no_cache_behind(cache_folder: Path) -> None:
    train_smoke("--variant", "relased")
    assert not cache_folder.exists()


@pytest.mark.parametrize("folder", ["{}/file/cache", "/proc/x"])
def test_cache_that_cannot_be_used_is_one_sentence(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SRCSEP_CACHE", root := folder.format(tmp_path))
    result = train_smoke()
    assert result.exit_code == 1
    (sentence,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert root in sentence and "SRCSEP_CACHE" in sentence


def test_readme_outside_a_checkout_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srcsep_core.paths.project_root", lambda: tmp_path)
    result = srcsep("readme", "--check")
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {tmp_path / 'README.md'} does not exist; ")
    assert len(result.output.splitlines()) == 1


# `srcsep`, with a Ctrl-C before the training step of this number.
STOPPED = """
import os, signal, sys
from srcsep_core.cli import main
from srcsep_core.cli.status import detail_lines, group_lines
from srcsep_core.training import loop

advance, step = loop._Run.advance, int(sys.argv.pop(1))

def stopping(run):
    if run.step == step:
        os.kill(os.getpid(), signal.SIGINT)
    advance(run)

loop._Run.advance = stopping
main()
"""


def test_ctrl_c_while_training_says_what_is_kept_and_the_same_command_goes_on(
    start_python: Callable[..., subprocess.Popen[str]],
) -> None:
    command = ("train", "-p", "smoke", "--model", "flowavenet", "--objective", "likelihood", "--noise-free")
    title = steps.prior_step(get_profile("smoke"), "flowavenet").title
    process = start_python(STOPPED, 30, *command)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 130 and output == ""
    sentence = errors.splitlines()[-1]
    assert "Traceback" not in errors and sentence.startswith("Stopped: 0 of 1 sets of priors are finished and kept, ")
    assert sentence.endswith(f" {title} up to step 20 of 40; the same command goes on from there")
    assert f"unfinished: {title}: stopped at step 20 of 40" in srcsep("status", "-p", "smoke").output
    process = start_python(STOPPED, 10, *command)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0 and output.startswith(f"{title}: ")
    assert "resumed at step 20 of 40" in errors


def test_ctrl_c_while_benchmarking_is_one_sentence(
    start_python: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = start_python(
        STOPPED, 0, "benchmark", "-p", "smoke", "--train", "--group", "known", "--out", tmp_path / "out"
    )
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 130 and output == ""
    assert "Traceback" not in errors and errors.splitlines()[-1].startswith("Stopped: finished settings are in ")


def test_exit_code_and_words_reach_the_shell(start_python: Callable[..., subprocess.Popen[str]]) -> None:
    process = start_python("from srcsep_core.cli import main; main()", "status", "-p", "huge")
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert output == ""
    assert errors == "Error: unknown profile 'huge'; use one of smoke, laptop, full\n"


def test_help_does_not_pay_for_torch() -> None:
    code = "import sys; from srcsep_core.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert "click" in loaded and "torch" not in loaded


def test_help_of_a_command_lists_what_there_is() -> None:
    printed = " ".join(srcsep("train", "--help").output.split())
    assert "flowavenet, glow" in printed and "whole_periods, uniform_hz, piano_keys" in printed
    printed = " ".join(srcsep("separate", "--help").output.split())
    for names in (
        "sine, square, saw, triangle",
        "sampler, convtasnet, encoder, hdemucs, mix, nmf",
        "gibbs, gibbs-exchange",
        "denoiser, pnf, oracle",
    ):
        assert names in printed


def test_a_model_without_a_plan_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    smoke = get_profile("smoke")
    plans = {name: plan for name, plan in smoke.kinds.items() if name != "pnf"}
    monkeypatch.setitem(PROFILES, "smoke", replace(smoke, kinds=plans))
    result = srcsep("train", "-p", "smoke", "--model", "pnf")
    assert result.exit_code == 1 and "the profile smoke has no plan for 'pnf'" in result.output
