"""Who is measured: an ``.avatar`` file, a method that makes one from pictures, or the input held still."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from headcast import __version__, api
from headcast.avatar.base import Avatar
from headcast.errors import HeadcastError

__all__ = ["BASELINE", "METHODS", "REAL", "STILL", "Contestant", "contestants"]

STILL = "input held still"
REAL = "real clip"
BASELINE = "fit"
"""The method that is always in the table."""

METHODS: dict[str, str] = {
    "fit": "headcast.evaluate.contestants:fit",
    "portrait4d": "headcast.evaluate.contestants:portrait4d",
}
"""Where each method's maker lives, imported when it is asked for: (photos, variant, seed, progress) to
avatar."""
VARIANTS = {"fit": ("gaussians", "mesh"), "portrait4d": ("baked",)}
"""What may stand behind a method's name and a colon."""

Maker = Callable[[Sequence[Path], str, int, api.Progress], Avatar]


@dataclass(frozen=True)
class Contestant:
    """One column of the table.

    Attributes:
        name: as in the table.
        facts: what its rows depend on: the version of the method, or the content of the file.
        make: an avatar from one or several pictures of a person; None: the input held still.
    """

    name: str
    facts: str
    make: Callable[[Sequence[Path], api.Progress], Avatar] | None


def contestants(subjects: Sequence[str], seed: int, baselines: bool = True) -> list[Contestant]:
    """The input held still, ``fit``, and the subjects as typed (``fit:mesh`` names a variant).

    Raises:
        HeadcastError: neither a file nor a known method; a file that is no avatar.
    """
    names: list[str] = list(dict.fromkeys([*([BASELINE] if baselines else []), *subjects]))
    made = [Contestant(STILL, "", None)] if baselines else []
    stems = [Path(name).stem for name in names]
    for name, stem in zip(names, stems, strict=True):
        if name.endswith(".avatar"):
            made.append(_file(name, stem if stems.count(stem) == 1 else name))
        else:
            made.append(_method(name, seed))
    return made


def _file(name: str, title: str) -> Contestant:
    path = Path(name)
    avatar = api.load(path)
    content = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return Contestant(title, content, lambda photos, progress: avatar)


def _method(name: str, seed: int) -> Contestant:
    method, _, variant = name.partition(":")
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise HeadcastError(f"evaluate {name}: neither an .avatar file nor a method; methods here: {known}")
    if variant not in ("", *VARIANTS[method]):
        names = [method, *(f"{method}:{v}" for v in VARIANTS[method])]
        raise HeadcastError(f"evaluate {name}: give {', '.join(names[:-1])} or {names[-1]}")
    facts = f"headcast {__version__}"
    if method == "portrait4d":
        from headcast.methods.portrait4d.networks import check_available, load_networks

        check_available()
        facts += f" {load_networks().hash}"
    module, function = METHODS[method].split(":")

    def make(photos: Sequence[Path], progress: api.Progress) -> Avatar:
        maker: Maker = getattr(import_module(module), function)
        return maker(photos, variant, seed, progress)

    return Contestant(name, facts, make)


def fit(photos: Sequence[Path], variant: str, seed: int, progress: api.Progress) -> Avatar:
    """The method ``fit``; variants are its representations."""
    return api.create(list(photos), representation=variant or "gaussians", seed=seed, progress=progress)


def portrait4d(photos: Sequence[Path], variant: str, seed: int, progress: api.Progress) -> Avatar:
    """Portrait4D-v2 from the first photo; ``baked``: as Gaussians on a rigged mesh."""
    avatar = api.create(list(photos), method="portrait4d", seed=seed, progress=progress)
    return api.bake(avatar, seed=seed) if variant == "baked" else avatar
