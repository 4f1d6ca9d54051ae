"""An exported GLB in the Khronos validator, three.js, assimp and Blender, where they are installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.avatar.export.heads import synthetic_avatar
from tools.check_glb import Outcome, check_in_blender, check_in_node

from headcast.avatar.export.base import export_avatar
from headcast.avatar.mesh import MeshAvatar


@pytest.fixture(scope="module")
def avatar() -> MeshAvatar:
    return synthetic_avatar()


def judge(outcomes: list[Outcome]) -> None:
    skipped = [f"{o.name}: {o.words}" for o in outcomes if o.passed is None]
    if skipped:
        pytest.skip("; ".join(skipped))
    assert outcomes and not [o for o in outcomes if not o.passed]


@pytest.mark.parametrize("shading", ["lit", "baked"])
def test_validator_three_and_assimp(shading: str, avatar: MeshAvatar, tmp_path: Path) -> None:
    judge(check_in_node(export_avatar(avatar, tmp_path / "a.glb", shading=shading)[0], avatar))


@pytest.mark.slow
def test_blender_opens_it_and_draws_it_like_we_do(avatar: MeshAvatar, tmp_path: Path) -> None:
    judge(check_in_blender(export_avatar(avatar, tmp_path / "a.glb", shading="baked")[0], avatar, None))


def test_a_broken_file_fails(avatar: MeshAvatar, tmp_path: Path) -> None:
    path = export_avatar(avatar, tmp_path / "a.glb", texture_size=16)[0]
    path.write_bytes(path.read_bytes().replace(b'"VEC2"', b'"VEC3"'))
    outcomes = check_in_node(path, avatar)
    if any(o.passed is None for o in outcomes):
        pytest.skip(outcomes[0].words)
    assert any(o.passed is False for o in outcomes)
