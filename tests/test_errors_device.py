"""Devices are named in one module only, and a wrong one is the user's mistake."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

from headcast.device import is_cuda, pick_device, synchronize
from headcast.errors import HeadcastError

SOURCE = Path(__file__).resolve().parent.parent / "src" / "headcast"


def test_pick_device() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in ("cpu", "cuda")
    with pytest.raises(HeadcastError, match="--device toaster"):
        pick_device("toaster")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_absent_cuda_is_one_clear_line() -> None:
    with pytest.raises(HeadcastError, match="sees no CUDA device"):
        pick_device("cuda")


def test_cpu_helpers() -> None:
    assert not is_cuda(torch.zeros(1))
    synchronize(torch.device("cpu"))


def test_only_device_py_names_a_device() -> None:
    for path in SOURCE.rglob("*.py"):
        if path.name == "device.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value != "cuda" and not node.value.startswith("cuda:"), f"{path}:{node.lineno}"
            if isinstance(node, ast.Attribute) and node.attr == "cuda":
                raise AssertionError(f"{path}:{node.lineno}: .cuda")
