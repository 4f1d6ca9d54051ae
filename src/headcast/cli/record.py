"""Write ``run.json`` next to every output: how it was made."""

from __future__ import annotations

import json
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from headcast import __version__

__all__ = ["versions", "write_record"]

PACKAGES = ("torch", "numpy", "ai-edge-litert", "numba", "av", "pillow", "safetensors")


def versions() -> dict[str, str]:
    """Return the versions of headcast, Python, the platform and the packages that results depend on."""
    found = {"headcast": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def bundled_weights() -> list[dict[str, Any]]:
    """List bundled weights with their content hashes and licences."""
    import hashlib

    from headcast.face_networks.network import known_digests
    from headcast.weights import card, weights_path

    found = []
    for path in sorted(weights_path("x").parent.glob("*.safetensors")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        found.append(
            {"name": path.stem, "hash": digest, "licence": card(path.stem).get("licence", "Apache-2.0")}
        )
    networks = known_digests()
    found += [{"name": n, "hash": d[:16], "licence": "Apache-2.0"} for n, d in networks.items()]
    return found


def write_record(
    out: Path, seed: int, seconds: float, notes: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    """Write ``<out>.run.json`` (``run.json`` inside a folder) and return its contents."""
    from headcast.files import atomic_path

    record = {
        "command": ["headcast", *sys.argv[1:]],
        "output": out.name,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "seed": seed,
        "threads": sys.modules["torch"].get_num_threads() if "torch" in sys.modules else 1,
        "versions": versions(),
        "weights": bundled_weights(),
        "synthetic_media": True,
        "notes": list(notes),
        **more,
    }
    path = out / "run.json" if out.is_dir() else out.with_name(out.name + ".run.json")
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
    return record
