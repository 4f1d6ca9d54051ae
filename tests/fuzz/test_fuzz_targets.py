"""A short run of the fuzz script over every loader: a result, or one line, within its limits."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from tools import fuzz_loaders

NAMES = (
    *("image", "skin_map", "avatar_mesh", "avatar_gaussians", "pickle", "checkpoint", "checkpoint_old"),
    *("doctor", "evaluator_weights", "flame", "ict", "mesh_obj", "camera_json", "live_link_csv"),
    *("arkit_json", "flame_motion", "expression_json", "weights", "training_state", "head_model"),
    *("scene_json", "tables", "training_images", "video"),
)
SLOW = ("ict", "flame", "avatar_mesh", "avatar_gaussians")
SEED = 20


@pytest.fixture
def targets(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The script's loaders, by name."""
    monkeypatch.syspath_prepend(str(root / "tools"))
    threads = torch.get_num_threads()
    from fuzzing.targets import TARGETS  # type: ignore[import-not-found]

    torch.set_num_threads(threads)
    return TARGETS


def test_all_targets_are_named(targets: dict[str, Any]) -> None:
    assert tuple(targets) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_give_one_line(name: str, targets: dict[str, Any]) -> None:
    numbers = range(8 if name in SLOW else 30)
    found = list(fuzz_loaders.fuzz_target(name, targets[name], numbers, SEED, 60.0))
    assert not found


def test_the_same_numbers_give_the_same_input(targets: dict[str, Any]) -> None:
    seeds = targets["checkpoint"].seeds()
    made = [fuzz_loaders.make_input(seeds, "checkpoint", 1, n) for n in (0, 7, 7, 8)]
    assert made[0] in seeds and made[1] == made[2] != made[3]


def loads_badly(kind: str) -> Any:
    """A loader with a fault."""

    def load(path: Path) -> None:
        data = path.read_bytes()
        if data == b"valid":
            return
        if kind == "traceback":
            raise IndexError("x")
        if kind == "hang":
            while True:
                pass
        if kind == "crash":
            import os
            import signal

            os.kill(os.getpid(), signal.SIGSEGV)
        if kind == "memory":
            bytearray(1 << 36)

    return load


@pytest.mark.parametrize(
    ("kind", "what"),
    [("traceback", "IndexError"), ("hang", "over 0.2 s"), ("crash", "SIGSEGV"), ("memory", "MemoryError")],
)
def test_faults_are_found(kind: str, what: str) -> None:
    target = fuzz_loaders.Target(lambda: [{"a.txt": b"valid"}], loads_badly(kind))
    found = list(fuzz_loaders.fuzz_target("faulty", target, range(4), 1, 0.2))
    assert found and all(what in f.what for f in found) and 0 not in {f.number for f in found}


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.npz", "a.safetensors", "a.npy", "a.png"])
def test_any_bytes_can_be_mutated(name: str) -> None:
    rng = random.Random(1)
    for data in (b"", b"x", b"{}", bytes(100), b"PK\3\4" + bytes(30)):
        for _ in range(20):
            assert isinstance(fuzz_loaders.mutate(rng, name, data), bytes)
