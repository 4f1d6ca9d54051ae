"""The independent scripts beside the repository, run on renderings that a test made."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from headcast.evaluate.networks import EvaluationNetworks, load_evaluation_networks

__all__ = ["load_script", "shared_networks", "stand_in"]


def load_script(shared: Path, name: str) -> ModuleType:
    """Import a script of the shared tools; they find landmarks by mediapipe's own package."""
    pytest.importorskip("mediapipe")
    folder = str(shared / "tools")
    spec = importlib.util.spec_from_file_location(name, Path(folder) / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
    return module


def shared_networks(shared: Path) -> EvaluationNetworks:
    """The evaluator's networks beside the repository."""
    import torch

    data = shared / "data"
    return load_evaluation_networks(
        torch.device("cpu"),
        lpips=data / "lpips_alex.npz",
        sface=data / "sface.onnx",
        yunet=data / "yunet.onnx",
    )


def stand_in(path: Path, source: str) -> Path:
    """Write a program that takes the place of the project for a script."""
    path.write_text(f"#!{sys.executable}\n{source}")
    path.chmod(0o755)
    return path


def write_rgba(path: Path, rgba: np.ndarray) -> None:
    """Write a rendering as the scripts read it."""
    cv2.imwrite(str(path), rgba[..., [2, 1, 0, 3]])
