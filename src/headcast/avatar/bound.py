"""``BoundHead``: the part that all kinds of avatars share: bound head model, source view, provenance."""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from headcast.avatar.entries import damaged
from headcast.avatar.package import Package
from headcast.avatar.provenance import Provenance
from headcast.avatar.source import SourceView, check_tensor
from headcast.errors import HeadcastError
from headcast.head.embed import OURS
from headcast.head.foreign.known import stored_head
from headcast.head.model import HeadModel
from headcast.head.skin import uv_key
from headcast.parsing import short_reason

__all__ = ["BoundHead", "bind_head", "check_head"]

FILE_KEYS = ("format", "version", "kind")


@dataclass(frozen=True)
class BoundHead:
    """A head model bound to one person, the view it was made from, and how it was made.

    Attributes:
        head: its rest shape holds what the identity basis cannot (see ``bind_head``).
        source: camera, parameters and light of the photo.
        provenance: method, weights, seed, consent.
    """

    head: HeadModel
    source: SourceView
    provenance: Provenance

    @property
    def identity(self) -> Float[Tensor, "i"]:
        """Return the coefficients of the head model's identity basis."""
        return self.source.params.identity

    def tensors(self) -> dict[str, Tensor]:
        """Return named tensors to be stored."""
        return {**self.source.tensors(), "rest": self.head.shape(self.identity)}

    def meta(self, kind: str) -> dict[str, Any]:
        """Return the entries of avatar.json for an avatar of this kind."""
        head = {"name": self.head.name, "hash": self.head.hash, "topology": uv_key(self.head)}
        return {**self.provenance.to_dict(), "kind": kind, "head": head}

    def info(self, kind: str) -> dict[str, Any]:
        """Return the facts that ``headcast info`` shows."""
        meta = self.meta(kind)
        return {"kind": kind, "head": meta["head"], **meta}

    @classmethod
    def from_package(
        cls, package: Package, path: Path, head: HeadModel | None = None, own: Collection[str] = ()
    ) -> BoundHead:
        """Read the entries that every avatar file holds.

        Args:
            head: bind to this head model instead of the installed one that the file names.
            own: entries of avatar.json that belong to the avatar's kind, not to its provenance.

        Raises:
            HeadcastError: parts are missing or invalid, or the head model has another topology.
        """
        head = stored_head(package.meta.get("head")) if head is None else head
        check_head(package.meta, head, path)
        source = SourceView.from_tensors(package.tensors, head.identities, len(head.faces), path)
        rest = check_tensor(package.tensors, "rest", tuple(head.neutral.shape), path)
        facts = {k: v for k, v in package.meta.items() if k not in (*FILE_KEYS, "head", *own)}
        bound = bind_head(head, rest - head.shape(source.params.identity))
        return cls(bound, source, Provenance.from_dict(facts, path))


def bind_head(head: HeadModel, offset: Float[Tensor, "v 3"]) -> HeadModel:
    """Return the head model with its rest shape moved by ``offset`` (head frame, metres); all else shared."""
    if not bool((offset != 0).any()):
        return head
    bound = copy.copy(head)
    bound._buffers = {**head._buffers, "neutral": head.neutral + offset}
    return bound


def check_head(meta: dict[str, Any], head: HeadModel, path: Path) -> None:
    """Raise if the avatar was bound to a head model that the installed one cannot replace.

    Raises:
        HeadcastError: the avatar names no head, or one of another topology.
    """
    made = meta.get("head")
    if not isinstance(made, dict):
        raise damaged(path, "it does not say which head it was made with")
    if made.get("hash") != head.hash and made.get("topology") != uv_key(head):
        name, made_hash = short_reason(made.get("name"))[:40], short_reason(made.get("hash"))[:16]
        remedy = "create it again or install its version"
        if not name.startswith(OURS):
            remedy = "run headcast doctor --convert with your copy of that head's file once"
        raise HeadcastError(
            f"{path}: made with the head model '{name}' ({made_hash}), whose mesh differs from the installed "
            f"'{head.name}' ({head.hash}); {remedy}"
        )
