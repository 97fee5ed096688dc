"""The package as others install it: from its wheel, in an environment of its own, with no checkout in reach."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from audio_files import write_audio

from srcsep_core.cli.separate import DOUBTFUL
from srcsep_core.data.toy import ToyWorld, draw_test_set
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps import prior_step

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


class Installed:
    """A virtual environment with the wheel, and an empty folder in which its commands run, with a home of its own.

    What the package depends on is taken from this environment, by a path that leads to no checkout.
    """

    def __init__(self, folder: Path) -> None:
        self.here, self.home, self.environment = folder / "here", folder / "home", folder / "venv"
        for empty in (self.here, self.home):
            empty.mkdir()
        pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
        building = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT]
        subprocess.run([*pip, *building], check=True, cwd=folder)
        (self.wheel,) = folder.glob("*.whl")
        venv.create(self.environment)
        python = self.environment / "bin" / "python"
        installing = ["--python", python, "install", "--no-deps", "--no-index", self.wheel]
        subprocess.run([*pip, *installing], check=True, cwd=folder)
        (packages,) = self.environment.glob("lib/python*/site-packages")
        lent = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
        (packages / "lent.pth").write_text("\n".join(sorted(lent)))

    def run(self, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the empty folder."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SRCSEP", "XDG"))}
        return subprocess.run(
            [self.environment / "bin" / program, *map(str, arguments)],
            cwd=self.here,
            env=kept | {"HOME": str(self.home), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )

    def srcsep(self, *arguments: object) -> str:
        """What a command prints; it must succeed, were it with a result that is not to be trusted."""
        done = self.run("srcsep", *arguments)
        assert done.returncode in (0, DOUBTFUL), done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("wheel"))


def test_it_holds_the_package_and_the_priors_that_commands_use_by_default(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "srcsep_core").rglob("*.*") if path.suffix != ".pyc"}
    assert {path for path in code if "__pycache__" not in path} <= set(names)
    laptop = get_profile("laptop")
    wanted = (prior_step(laptop, "denoiser", variant="uniform_hz"), prior_step(laptop, "flowavenet"))
    shipped = {name.split("/")[2] for name in names if name.startswith("srcsep_core/pretrained/")}
    assert shipped == {"README.md", *(step.title for step in wanted)}
    assert installed.wheel.stat().st_size < 10e6


def test_it_is_the_wheel_that_is_imported(installed: Installed) -> None:
    done = installed.run("python", "-c", "import srcsep_core; print(srcsep_core.__file__)")
    assert done.stdout.startswith(str(installed.environment)), done.stderr


def test_its_commands_work_at_once_and_leave_nothing_else_behind(installed: Installed, tmp_path: Path) -> None:
    """One window of 64 ms is separated, and its stems are compared with the truth."""
    sources = draw_test_set(ToyWorld("uniform_hz"), 1, 1024, seed=0)[0, :2]
    mix = write_audio(tmp_path / "mix.wav", sources.mean(dim=0, keepdim=True), 16_000)
    for name, source in zip(("01_sine.wav", "02_square.wav"), sources, strict=True):
        write_audio(tmp_path / "truth" / name, source[None] / 2, 16_000)
    status = installed.srcsep("status")
    assert f"cache: {installed.home}" in status and "shipped" in status
    one = ("--sources", "sine,square", "--gain", 1, "--max-chains", 1, "--device", "cpu")
    assert "sine, square: stems" in installed.srcsep("separate", mix, *one, "--out", "stems")
    compared = installed.srcsep("evaluate", "stems", "--reference", tmp_path / "truth", "--mix", mix)
    assert "01_sine.wav" in compared and "si_sdri" in compared
    likelihoods = installed.srcsep("likelihood", mix, "--resample", "--device", "cpu")
    assert "likeliest source" in likelihoods
    assert [path.name for path in installed.here.iterdir()] == ["stems"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("readme", "--check"), "needs a checkout of the project"),
        (("notebooks",), "needs a checkout of the project"),
        (("benchmark", "--group", "baseline"), "needs a checkout of the project"),
        (("train", "--ship"), "needs a checkout of the project"),
        (("benchmark", "--group", "causal", "--out", "table"), "`srcsep data priors --from"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_what_needs_more_is_one_sentence(arguments: tuple[str, ...], sentence: str, installed: Installed) -> None:
    done = installed.run("srcsep", *arguments)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("Error: ") and len(done.stderr.splitlines()) == 1 and sentence in done.stderr


def test_more_priors_are_taken_over_from_a_checkout(installed: Installed, tmp_path: Path) -> None:
    tone = write_audio(tmp_path / "tone.wav", draw_test_set(ToyWorld(), 1, 512, seed=0)[0, :1], 14_700)
    asked = ("likelihood", tone, "--objective", "quarter_log_det", "--device", "cpu")
    assert "or take over those of a checkout with `srcsep data priors --from" in installed.run("srcsep", *asked).stderr
    title = "flow-whole_periods-laptop-quarter_log_det"
    printed = installed.srcsep("data", "priors", "--from", ROOT / "data" / "pretrained" / title)
    assert f"{title}: taken over" in printed and f"cache: {installed.home}" in printed
    assert "likeliest source" in installed.srcsep(*asked)
