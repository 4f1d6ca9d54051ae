"""Programs and packages on this machine, and what to run for those that are missing."""

from __future__ import annotations

import importlib
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

__all__ = ["Check", "base_checks", "extra_checks"]

PYTHON = ((3, 11), (3, 15))


@dataclass(frozen=True)
class Check:
    """One line of the report. ``remedy``: what to run when it is not ``ok``."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def base_checks() -> list[Check]:
    """Check what every command needs; all must be ok."""
    return [
        python(),
        package("torch", "torch", said=cuda),
        package("numpy"),
        package("safetensors"),
        package("pillow", "PIL"),
        package("av", "av", said=codecs),
        package("opencv", "cv2", "opencv-python-headless"),
        package("ai-edge-litert", "ai_edge_litert"),
        package("numba"),
        package("rich"),
        package("tyro"),
        package("pygltflib"),
        check_head_model(),
        check_face_networks(),
    ]


def python() -> Check:
    """Check the version of the interpreter."""
    low, high = PYTHON
    ok = low <= sys.version_info[:2] < high
    return Check(
        "python",
        ok,
        f"{platform.python_version()} on {platform.platform(terse=True)}",
        "" if ok else "install Python 3.11 to 3.14",
    )


def package(name: str, module: str = "", wheel: str = "", said: Callable[[], str] | None = None) -> Check:
    """Check a package that must import."""
    try:
        found = importlib.import_module(module or name)
        words = str(getattr(found, "__version__", "") or metadata.version(name))
        return Check(name, True, f"{words}{said() if said else ''}")
    except Exception as e:
        reason = " ".join(str(e).split())[:80] or type(e).__name__
        return Check(name, False, reason, f"pip install {wheel or name}")


def cuda() -> str:
    """Describe the devices that torch can compute on."""
    from headcast.device import summary

    return f", {summary()}"


def codecs() -> str:
    """Describe the FFmpeg inside PyAV, and the one on the path if any."""
    import av

    inside = ".".join(map(str, av.library_versions.get("libavcodec", ())))
    return f", libavcodec {inside}, ffmpeg program {shutil.which('ffmpeg') or 'not needed, not found'}"


def check_head_model() -> Check:
    """Pose and rasterize the bundled head once."""
    try:
        import torch

        from headcast.camera import Camera
        from headcast.head.model import HeadModel
        from headcast.head.params import HeadParams
        from headcast.render.mesh import rasterize_mesh

        head = HeadModel.load()
        with torch.no_grad():
            vertices = head(HeadParams.neutral(head.identities))
            camera = Camera.make(200.0, 64, 64)
            fragments = rasterize_mesh(vertices - torch.tensor([0.0, 0.0, 1.0]), head.faces, camera)
        covered = int((fragments.triangle >= 0).sum())
        ok = covered > 200
        return Check(
            "head and renderer",
            ok,
            f"{head.name}, {covered} of 4096 pixels covered",
            "" if ok else "reinstall headcast",
        )
    except Exception as e:
        return Check("head and renderer", False, " ".join(str(e).split())[:80], "reinstall headcast")


def check_face_networks() -> Check:
    """Load the bundled face networks and run each once."""
    try:
        import numpy as np

        from headcast.face_networks.network import TfliteNetwork, known_digests

        names = known_digests()
        for name in names:
            network = TfliteNetwork(name)
            network(np.zeros(network.shape, np.float32))
        return Check("face networks", True, ", ".join(names))
    except Exception as e:
        return Check("face networks", False, " ".join(str(e).split())[:80], "pip install ai-edge-litert")


def extra_checks() -> list[Check]:
    """Check the optional extras that this installation declares: complete, or what is missing."""
    try:
        declared = metadata.requires("headcast") or []
    except metadata.PackageNotFoundError:
        return []
    extras: dict[str, list[str]] = {}
    for line in declared:
        match = re.match(r"([A-Za-z0-9_.-]+).*extra == ['\"]([a-z0-9_-]+)['\"]", line)
        if match:
            extras.setdefault(match[2], []).append(match[1])
    return [extra(name, wanted) for name, wanted in sorted(extras.items())]


def extra(name: str, wanted: list[str]) -> Check:
    """Check that one extra is complete."""
    missing = [w for w in wanted if not installed(w)]
    if not missing:
        return Check(name, True, ", ".join(wanted))
    return Check(name, False, f"missing: {', '.join(missing)}", f"pip install 'headcast[{name}]'")


def installed(name: str) -> bool:
    """Return whether a distribution is installed."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
