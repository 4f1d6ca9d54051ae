"""What an exported file says about itself: that it is synthetic, how it was made, what its use asks for."""

from __future__ import annotations

from typing import Any

from headcast import __version__
from headcast.avatar.base import Avatar

__all__ = ["GENERATOR", "SYNTHETIC", "comments", "facts", "licences"]

GENERATOR = f"headcast {__version__}"
SYNTHETIC = "synthetic media made with headcast"


def facts(avatar: Avatar) -> dict[str, Any]:
    """Mark, method, weights with licences, and the consent statement where one was given."""
    info = avatar.info
    found: dict[str, Any] = {"synthetic_media": info.get("synthetic_media") or SYNTHETIC}
    for name in ("method", "created_by", "seed", "weights", "licences", "consent"):
        if info.get(name) is not None:
            found[name] = info[name]
    return found


def licences(avatar: Avatar) -> tuple[str, ...]:
    """``name: licence`` of every set of weights the avatar was made with."""
    return tuple(
        f"{w.get('name', 'weights')}: {w.get('licence', 'unknown')}"
        for w in avatar.info.get("weights", ())
        if isinstance(w, dict)
    )


def comments(avatar: Avatar) -> tuple[str, ...]:
    """The same as lines for a file's header."""
    found = facts(avatar)
    lines = [f"{GENERATOR}: {found['synthetic_media']}", *(f"licence: {x}" for x in licences(avatar))]
    return (*lines, f"consent: {found['consent']}") if "consent" in found else tuple(lines)
