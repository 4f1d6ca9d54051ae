"""A bound head for avatars that tests make by hand."""

from __future__ import annotations

from typing import Any

from headcast.avatar.bound import BoundHead
from headcast.avatar.provenance import Provenance
from headcast.avatar.source import SourceView
from headcast.head.model import HeadModel


def bound(head: HeadModel, source: SourceView, **facts: Any) -> BoundHead:
    """The head and its source view, made by the method ``test`` unless ``facts`` say otherwise."""
    return BoundHead(head, source, Provenance(**{"method": "test", **facts}))
