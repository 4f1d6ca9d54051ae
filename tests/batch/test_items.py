"""Items are what a folder holds; their keys change with content and settings, and with nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.batch.tasks import PNG

from headcast.batch.items import BatchSettings, find_items, safe_stem
from headcast.errors import HeadcastError

SETTINGS = BatchSettings("fit", {"texture_size": 256})


def test_photos_and_sub_folders_are_items_and_the_rest_is_left_out(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", ".hidden.png", "two/1.png", "two/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG + name.encode())
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "empty").mkdir()
    items = find_items(tmp_path, SETTINGS)
    assert [i.name for i in items] == ["a.jpg", "b.png", "two/"]
    assert [p.name for p in items[2].files] == ["1.png", "2.png"]
    assert items[0].output.startswith("a-") and items[2].output.startswith("two-")


def test_keys_follow_content_and_settings_not_names(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(PNG + b"same")
    first, second = find_items(tmp_path, SETTINGS)
    assert first.key == second.key
    for other in (
        replace(SETTINGS, seed=1),
        replace(SETTINGS, options={"texture_size": 512}),
        replace(SETTINGS, consent="yes"),
        replace(SETTINGS, enhance=True),
    ):
        assert find_items(tmp_path, other)[0].key != first.key
    (tmp_path / "a.png").write_bytes(PNG + b"other")
    assert find_items(tmp_path, SETTINGS)[0].key != first.key


@given(st.text(max_size=80))
def test_no_name_leaves_the_folder(name: str) -> None:
    stem = safe_stem(name)
    assert 0 < len(stem) <= 48
    assert not set(stem) & set("/\\.:\0 \n") and stem == Path(stem).name


def test_invalid_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="no such folder"):
        find_items(tmp_path / "none", SETTINGS)
    with pytest.raises(HeadcastError, match="holds no photos"):
        find_items(tmp_path, SETTINGS)
