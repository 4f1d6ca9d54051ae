"""The core packages import nothing but torch, numpy, safetensors and jaxtyping."""

from __future__ import annotations

import subprocess
import sys

PROBE = """
import importlib, importlib.abc, pkgutil, sys
CORE = ("head", "render", "nets", "synth", "training", "methods", "priors")
ALLOWED = {"torch", "numpy", "safetensors", "jaxtyping", "headcast"}
import torch, numpy, safetensors.torch, jaxtyping
import headcast

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        first = name.partition(".")[0]
        if first in ALLOWED or first in sys.stdlib_module_names or first in BEFORE:
            return None
        raise ImportError(f"{name} is imported by the core at module level")

HEAVY = ("cv2", "ai_edge_litert", "numba", "PIL", "av", "scipy", "skimage")
BEFORE = {n.partition(".")[0] for n in sys.modules} - set(HEAVY)
for heavy in HEAVY:
    for name in [n for n in sys.modules if n == heavy or n.startswith(heavy + ".")]:
        del sys.modules[name]
sys.meta_path.insert(0, Blocker())
count = 0
for package in CORE:
    try:
        root = importlib.import_module(f"headcast.{package}")
    except ModuleNotFoundError as e:
        assert e.name == f"headcast.{package}", e
        continue
    for info in pkgutil.walk_packages(root.__path__, root.__name__ + "."):
        if ".protocols" in info.name:  # a method's own evaluation: the evaluator's floor
            continue
        importlib.import_module(info.name)
        count += 1
assert count >= 4, count
"""


def test_core_imports_only_light_packages() -> None:
    run = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_the_package_itself_imports_nothing_heavy() -> None:
    code = (
        "import headcast, headcast.cli.main, sys;"
        "bad = {'torch', 'cv2', 'ai_edge_litert', 'numba', 'av'} & set(sys.modules); assert not bad, bad"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
