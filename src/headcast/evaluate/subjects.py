"""Methods under test: an ``.avatar`` file, a method that makes one from photos, or the frozen first frame."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headcast import __version__, api
from headcast.avatar.base import Avatar
from headcast.errors import HeadcastError
from headcast.methods.base import get_method, method_names
from headcast.progress import Progress
from headcast.registry import DEFAULT_METHOD

__all__ = ["BASELINE", "REAL", "STILL", "Subject", "find_subjects"]

STILL = "input held still"
REAL = "real clip"
BASELINE = DEFAULT_METHOD
"""The method that is always in the table."""


@dataclass(frozen=True)
class Subject:
    """One column of the table.

    Attributes:
        name: as in the table.
        facts: what its rows depend on: the version of the method, or the content of the file.
        make: an avatar from one or several images of a person; None: the frozen first frame.
    """

    name: str
    facts: str
    make: Callable[[Sequence[Path], Progress], Avatar] | None


def find_subjects(subjects: Sequence[str], seed: int, baselines: bool = True) -> list[Subject]:
    """List the frozen first frame, the default method, and the subjects as typed (``NAME:VARIANT``).

    Raises:
        HeadcastError: neither a file nor a known method; a file that is no avatar.
    """
    names: list[str] = list(dict.fromkeys([*([BASELINE] if baselines else []), *subjects]))
    made = [Subject(STILL, "", None)] if baselines else []
    stems = [Path(name).stem for name in names]
    for name, stem in zip(names, stems, strict=True):
        if name.endswith(".avatar"):
            made.append(_file(name, stem if stems.count(stem) == 1 else name))
        else:
            made.append(_method(name, seed))
    return made


def _file(name: str, title: str) -> Subject:
    path = Path(name)
    avatar = api.load(path)
    content = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return Subject(title, content, lambda photos, progress: avatar)


def _method(subject: str, seed: int) -> Subject:
    name, _, variant = subject.partition(":")
    if name not in method_names():
        known = ", ".join(method_names())
        raise HeadcastError(
            f"evaluate {subject}: neither an .avatar file nor a method; methods here: {known}"
        )
    method = get_method(name)
    if variant and variant not in method.variants:
        names = [name, *(f"{name}:{v}" for v in method.variants)]
        raise HeadcastError(f"evaluate {subject}: give {' or '.join(names)}")
    options = method.variants[variant] if variant else method.Options()
    method.check(options)
    facts = " ".join(x for x in (f"headcast {__version__}", method.version()) if x)

    def make(photos: Sequence[Path], progress: Progress) -> Avatar:
        return api.create(list(photos), method=name, options=options, seed=seed, progress=progress)

    return Subject(subject, facts, make)
