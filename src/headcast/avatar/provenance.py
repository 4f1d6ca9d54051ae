"""How an avatar was made: the record in its file, its exports and ``headcast info``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headcast import __version__
from headcast.avatar.entries import damaged

if TYPE_CHECKING:
    from headcast.head.model import HeadModel

__all__ = ["SYNTHETIC_NOTE", "Provenance", "head_weights"]

SYNTHETIC_NOTE = "Images of this avatar are synthetic; they show nothing that the person did."


def head_weights(head: HeadModel) -> dict[str, str]:
    """Return the entry of ``Provenance.weights`` for a head model."""
    from headcast.weights import card

    return {"name": head.name, "licence": head.licence or card("head").get("licence", "see its card")}


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How an avatar was made.

    Attributes:
        method: name of the method.
        created_by: program and version.
        photos: how many images it was made from.
        seed: random seed.
        weights: ``name`` and ``licence`` of every set of weights that took part.
        synthetic_media: the synthetic-media mark, in words.
        warnings: what limits the avatar, one sentence each.
        consent: statement of the person shown; None: not stated.
        extra: further facts by name, as a method adds them.
    """

    method: str = ""
    created_by: str = f"headcast {__version__}"
    photos: int = 1
    seed: int = 0
    weights: tuple[Mapping[str, str], ...] = ()
    synthetic_media: str = SYNTHETIC_NOTE
    warnings: tuple[str, ...] = ()
    consent: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready facts; what is not stated is left out."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "extra"}
        named["weights"] = [dict(w) for w in self.weights]
        named["warnings"] = list(self.warnings)
        return {**self.extra, **{k: v for k, v in named.items() if v is not None}}

    def with_weights(self, weights: Sequence[Mapping[str, str]]) -> Provenance:
        """Add sets of weights that are not listed yet."""
        new = tuple(w for w in weights if w not in self.weights)
        return replace(self, weights=(*self.weights, *new))

    @classmethod
    def from_dict(cls, meta: Mapping[str, Any], path: Path) -> Provenance:
        """Read stored facts; unknown ones go to ``extra``.

        Args:
            path: the avatar's file, for messages.

        Raises:
            HeadcastError: a fact has a wrong type.
        """
        known = {f.name for f in fields(cls)} - {"extra"}
        given = {k: v for k, v in meta.items() if k in known}
        for name, kind in (
            ("method", str),
            ("created_by", str),
            ("photos", int),
            ("seed", int),
            ("synthetic_media", str),
            ("weights", list),
            ("warnings", list),
        ):
            if name in given and (not isinstance(given[name], kind) or isinstance(given[name], bool)):
                raise damaged(path, f"'{name}' is no {kind.__name__}")
        if given.get("consent") is not None and not isinstance(given["consent"], str):
            raise damaged(path, "'consent' is no str")
        for name in ("weights", "warnings"):
            given[name] = tuple(given.get(name, ()))
        if not all(
            isinstance(w, dict) and all(isinstance(v, str) for v in w.values()) for w in given["weights"]
        ):
            raise damaged(path, "'weights' holds something else than names and licences")
        if not all(isinstance(w, str) for w in given["warnings"]):
            raise damaged(path, "'warnings' holds something else than sentences")
        return cls(**given, extra={k: v for k, v in meta.items() if k not in known})
