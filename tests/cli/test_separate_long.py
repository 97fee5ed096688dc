"""`srcsep separate` of long recordings: in parts, with the same options and the same last line."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile
import torch
from click.testing import CliRunner

import srcsep_core.separate as separate
from srcsep_core.cli import main
from srcsep_core.separate import long
from srcsep_core.separate.trust import Verdict


@pytest.mark.parametrize(("seconds", "taken"), [(1.0, "separate_file"), (3.0, "separate_long")])
def test_how_a_recording_is_separated_depends_on_its_length(
    seconds: float, taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, object]] = []

    def stand_in(name: str):  # type: ignore[no-untyped-def]
        def run(mix: Path, names: list[str], config: object, **choices: object) -> SimpleNamespace:
            asked.append((name, (mix.name, names, choices["out"], choices["overwrite"])))
            report = {"gain": [1.0], "residual_db": -30.0, "seconds": 1.0, "sources_tried": []}
            return SimpleNamespace(report=report, names=names, verdict=Verdict(True, 0.9, 3, 0, (), ()))

        return run

    monkeypatch.setattr(long, "LONG_S", 2.0)
    for name in ("separate_file", "separate_long"):
        monkeypatch.setattr(separate, name, stand_in(name))
    noise = torch.randn(round(8000 * seconds), generator=torch.Generator().manual_seed(0))
    soundfile.write(tmp_path / "x.wav", 0.1 * noise.numpy(), 8000)
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["separate", str(tmp_path / "x.wav"), "--sources", "sine,saw", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert asked == [(taken, ("x.wav", ["sine", "saw"], out, False))]
    assert done.stdout.splitlines()[-1].startswith("trust: all sources right with probability 0.90")
