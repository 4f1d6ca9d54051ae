"""bfloat16 only where it isn't slower: what is chosen, by which times, and that a run keeps its choice."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.runs import QUIET, ROOT, SMALL, command, environment, lines

from headcast.training import engine as engines
from headcast.training import precision, train
from headcast.training.checkpoint import saved_checkpoints
from headcast.training.precision import PrecisionChoice, bf16_time_ratio, faster, remembered

AUTO = replace(QUIET, precision="auto")
CPU = torch.device("cpu")


def measure_as(ratio: float, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replaces the clock: a pass takes 1 s in float32, ``ratio`` in bfloat16. Gives the times it was read."""
    read: list[float] = []

    def seconds(tensors: Any, dtype: str) -> float:
        read.append(ratio if dtype == "bf16" else 1.0)
        return read[-1]

    monkeypatch.setattr(precision, "step_seconds", seconds)
    return read


def state(folder: Path) -> dict[str, Any]:
    return json.loads((saved_checkpoints(folder)[-1] / "state.json").read_text())


@pytest.mark.parametrize(("ratio", "dtype"), [(0.6, "bf16"), (1.0, "bf16"), (1.01, "32"), (11.0, "32")])
def test_the_faster_one_is_chosen_logged_and_kept(
    ratio: float, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure_as(ratio, monkeypatch)
    result = train(SMALL, replace(AUTO, steps=3), tmp_path / "auto")
    name = {"32": "float32", "bf16": "bfloat16"}[dtype]
    assert result.notes == (
        f"precision auto: bfloat16 takes {ratio:.2f} of float32's time on cpu; using {name}",
    )
    train(SMALL, replace(QUIET, steps=3, precision=dtype), tmp_path / "explicit")
    assert lines(tmp_path / "auto") == lines(tmp_path / "explicit")  # timing draws no random numbers
    kept = {"dtype": dtype, "bf16_over_32": ratio, "device": "cpu"}
    assert state(tmp_path / "auto")["precision"] == kept
    card = json.loads((tmp_path / "auto" / "toy.json").read_text())
    assert card["trained"]["precision"] == kept and card["trained"]["settings"]["precision"] == "auto"


@pytest.mark.parametrize(("first", "then"), [(0.6, 11.0), (11.0, 0.6)])
def test_a_resumed_run_keeps_its_choice(
    first: float, then: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure_as(first, monkeypatch)
    train(SMALL, AUTO, tmp_path / "whole")
    train(SMALL, replace(AUTO, steps=4), tmp_path / "twice")
    read = measure_as(then, monkeypatch)  # as on a machine on which the other one is faster
    result = train(SMALL, AUTO, tmp_path / "twice")
    assert not read and result.notes == ()
    assert lines(tmp_path / "twice") == lines(tmp_path / "whole")
    assert state(tmp_path / "twice")["precision"] == state(tmp_path / "whole")["precision"]


@pytest.mark.parametrize("dtype", ["32", "bf16"])
def test_auto_goes_on_as_an_explicit_run_began(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = measure_as(11.0 if dtype == "bf16" else 0.6, monkeypatch)
    for name in ("new", "old"):
        train(SMALL, replace(QUIET, steps=4, precision=dtype), tmp_path / name)
    place = saved_checkpoints(tmp_path / "old")[-1] / "state.json"  # as before there was a choice
    place.write_text(json.dumps({k: v for k, v in state(tmp_path / "old").items() if k != "precision"}))
    train(SMALL, replace(QUIET, precision=dtype), tmp_path / "whole")
    for name in ("new", "old"):
        result = train(SMALL, AUTO, tmp_path / name)
        assert f"precision {dtype} → auto" in result.notes[0]
        assert lines(tmp_path / name) == lines(tmp_path / "whole")
    assert not read


def test_an_explicit_precision_overrules_the_kept_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure_as(0.6, monkeypatch)
    train(SMALL, replace(AUTO, steps=4), tmp_path)
    assert train(SMALL, QUIET, tmp_path).notes == ("going on with other settings: precision auto → 32",)
    assert state(tmp_path)["precision"] == {"dtype": "32", "bf16_over_32": None, "device": "cpu"}


def test_another_type_of_device_is_measured_anew() -> None:
    kept = {"precision": faster(0.3, "cuda")._asdict(), "settings": {"precision": "auto"}}
    assert remembered(kept, "cuda") == PrecisionChoice("bf16", 0.3, "cuda")
    assert remembered(kept, "cpu") is None and remembered({}, "cpu") is None


def test_processes_share_the_mean_of_what_they_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Two(engines.Plain):
        """As the first of two processes sees them; the other measures 0.5."""

        def mean(self, x: torch.Tensor) -> torch.Tensor:
            return (x + 0.5) / 2

    measure_as(1.4, monkeypatch)
    choice = engines.choose_precision(AUTO, Two(replace(AUTO, device="cpu")), {})
    assert choice.dtype == "bf16" and choice.bf16_over_32 == pytest.approx(0.95)


def test_the_probe_computes_in_both_and_leaves_no_trace() -> None:
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    assert 0.01 < bf16_time_ratio(CPU) < 100
    assert torch.equal(before, torch.get_rng_state()) and torch.get_num_threads() == threads
    assert not torch.is_autocast_enabled("cpu")
    tensors = precision.probe_tensors(CPU)
    with precision.autocast(CPU, "bf16"):
        assert torch.nn.functional.conv2d(tensors[0], tensors[1]).dtype == torch.bfloat16
    with precision.autocast(CPU, "32"):
        assert torch.nn.functional.conv2d(tensors[0], tensors[1]).dtype == torch.float32


@pytest.mark.skipif(
    sys.platform != "linux", reason="oneDNN's switch for instruction sets is tried on Linux alone"
)
def test_without_native_bf16_auto_computes_in_float32(tmp_path: Path) -> None:
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("this processor has no vector instructions to leave out")
    words = ["steps=2", "size=12", "images=2", "width=4", "precision=auto", "picture_every=0", "device=cpu"]
    run = subprocess.run(
        command("toy", tmp_path, *words),
        cwd=ROOT,
        env={**environment(), "ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert "using float32" in run.stderr and state(tmp_path)["precision"]["bf16_over_32"] > 1.5


def test_a_wrong_word_is_refused(tmp_path: Path) -> None:
    # in a process of its own: here the annotation alone would stop it
    words = command("toy", tmp_path, "steps=1", "precision=fp8")
    run = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert run.returncode == 2 and "--precision must be one of auto, 32, bf16" in run.stderr
    assert len(run.stderr.splitlines()) == 1
