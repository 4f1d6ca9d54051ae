"""A short run of the fuzz script over every loader: a result, or one line, within its limits.

The script runs in a process of its own: its children must neither inherit the threads of other tests nor the
checks of shapes, which multiply the cost of a step.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SLOW = ("ict", "flame", "avatar_mesh", "avatar_gaussians")
FAST = (
    *("image", "skin_map", "pickle", "checkpoint", "checkpoint_old", "doctor", "evaluator_weights"),
    *("mesh_obj", "camera_json", "live_link_csv", "arkit_json", "flame_motion", "expression_json"),
    *("weights", "training_state", "head_model", "scene_json", "tables", "training_images", "video"),
)
SEED = 20


def test_all_targets_are_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "tools"))
    from fuzzing.targets import TARGETS  # type: ignore[import-not-found]

    assert set(TARGETS) == {*SLOW, *FAST}


@pytest.mark.parametrize(("names", "inputs"), [(FAST, 25), (SLOW, 6)], ids=["fast", "slow"])
def test_damaged_files_give_one_line(names: tuple[str, ...], inputs: int, root: Path) -> None:
    script = [sys.executable, str(root / "tools" / "fuzz_loaders.py"), "--only", *names]
    done = subprocess.run(
        [*script, "--inputs", str(inputs), "--seed", str(SEED)], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
