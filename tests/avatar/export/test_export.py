"""Choosing a format and its options."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest
from tests.avatar.export.heads import synthetic_avatar

from headcast import api
from headcast.avatar.export.base import FORMATS, export_avatar
from headcast.errors import HeadcastError


@pytest.mark.parametrize("name", FORMATS)
def test_every_writer_exists_and_takes_what_the_table_says(name: str) -> None:
    module, function = FORMATS[name].writer.split(":")
    writer = getattr(importlib.import_module(module), function)
    options = set(inspect.signature(writer).parameters) - {"avatar", "path"}
    assert options == set(FORMATS[name].takes)
    assert set(FORMATS[name].takes) <= set(inspect.signature(api.export).parameters)


@pytest.mark.parametrize(
    ("path", "to", "options", "words"),
    [
        ("a.fbx", None, {}, "--to"),
        ("a.glb", "fbx", {}, "unknown format"),
        ("a.png", "glb", {}, ".glb"),
        ("a.glb", "glb", {"rigged": True}, "--rigged"),
        ("a.glb", "glb", {"shading": "dark"}, "--shading"),
        ("a.glb", "glb", {"texture_size": 0}, "--texture-size 0"),
    ],
)
def test_mistakes_are_named(path: str, to: str | None, options: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match=words):
        export_avatar(synthetic_avatar(shells=False), tmp_path / path, to, **options)
    assert not list(tmp_path.iterdir())
