"""GLB: what comes back from the file is the avatar, in shape, movement and looks."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.avatar.export.heads import INFO, picture, psnr, synthetic_avatar, view_of
from tests.avatar.export.read_glb import Scene

from headcast.avatar.export.base import export_avatar
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.package import read_package
from headcast.errors import HeadcastError
from headcast.head.maps import SkinMaps
from headcast.head.model import JOINTS
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS
from headcast.rotation import axis_angle_to_matrix


@pytest.fixture(scope="module")
def avatar() -> MeshAvatar:
    return synthetic_avatar()


@pytest.fixture(scope="module")
def files(avatar: MeshAvatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("glb")
    for shading in ("lit", "baked"):
        export_avatar(avatar, folder / f"{shading}.glb", shading=shading)
    return folder


@pytest.fixture(scope="module")
def lit(files: Path) -> Scene:
    return Scene(files / "lit.glb")


@pytest.mark.parametrize(("shading", "least"), [("lit", 40), ("baked", 36)])
def test_the_file_looks_like_the_rendering(
    shading: str, least: float, avatar: MeshAvatar, files: Path
) -> None:
    camera, params = view_of(avatar)
    ours = picture(avatar, camera, params)
    read = Scene(files / f"{shading}.glb").render(camera, avatar.source.light)
    assert psnr(read, ours) > least
    assert psnr(read, picture(synthetic_avatar(shells=False), camera, params)) < 30  # hair and body count


def test_a_smile_and_a_turned_neck_look_alike(avatar: MeshAvatar, lit: Scene) -> None:
    weights, neck = {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "browInnerUp": 1.0}, 0.3
    camera, params = view_of(avatar)
    params = params.with_expression(weights).replace(neck=torch.tensor([0.0, neck, 0.0]))
    half = axis_angle_to_matrix(torch.tensor([0.0, neck / 2, 0.0])).double().numpy()
    vector = np.zeros(52)
    for name, w in weights.items():
        vector[EXPRESSION_INDEX[name]] = w
    read = lit.render(camera, avatar.source.light, vector, {"neck": half, "head": half})
    assert psnr(read, picture(avatar, camera, params)) > 38


@pytest.mark.parametrize("name", ["jawOpen", "eyeBlinkLeft", "eyeLookDownRight", "tongueOut", "mouthPucker"])
def test_each_shape_at_its_full_weight_is_the_models(name: str, avatar: MeshAvatar, lit: Scene) -> None:
    _, params = view_of(avatar)
    expected = avatar.head(params.with_expression({name: 1.0})).numpy()
    joints = lit.joint_matrices({})
    weights = np.zeros(52)
    weights[EXPRESSION_INDEX[name]] = 1
    for primitive in lit.mesh("head").primitives:
        if name.startswith("eyeBlink") and lit.gltf.materials[primitive.material].name == "eyes":
            continue  # draws back under the lids
        v = lit.posed(primitive, weights, joints)
        nearest = np.abs(expected[None, ::7] - v[:400, None]).max(-1).min(0)
        own = np.abs(expected[:, None] - v[None, :60]).max(-1).min(0)
        assert own.max() < 2e-5 and np.isfinite(nearest).all()


def test_an_open_mouth_closes(avatar: MeshAvatar, lit: Scene) -> None:
    _, params = view_of(avatar)
    expected = avatar.head(params.with_expression({"jawOpen": 1.0, "mouthClose": 1.0})).numpy()
    weights = np.zeros(52)
    weights[[EXPRESSION_INDEX["jawOpen"], EXPRESSION_INDEX["mouthClose"]]] = 1
    skin = lit.posed(lit.mesh("head").primitives[0], weights, lit.joint_matrices({}))
    own = np.abs(expected[:, None] - skin[None, ::40]).max(-1).min(0)
    assert own.max() < 2e-5


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8])
def test_no_eye_shows_through_a_closing_lid(share: float, avatar: MeshAvatar, lit: Scene) -> None:
    head = avatar.head
    weights = np.zeros(52)
    weights[EXPRESSION_INDEX["eyeBlinkLeft"]] = share
    by_material = {lit.gltf.materials[p.material].name: p for p in lit.mesh("head").primitives}
    joints = lit.joint_matrices({})
    eyes = lit.posed(by_material["eyes"], weights, joints)
    skin = lit.posed(by_material["skin"], weights, joints)
    rest = lit.array(by_material["skin"].attributes.POSITION)
    with torch.no_grad():
        neutral = head(view_of(avatar)[1]).numpy()
    edge = neutral[head.lid_index[0][head.lid_rim].numpy()]
    rim = np.abs(edge[:, None] - rest[None]).max(-1).argmin(1)
    eye = eyes[eyes[:, 0] > 0]
    for p in skin[rim]:  # no point of the eye lies before the lid's edge in the same direction
        near = eye[np.linalg.norm(eye[:, :2] - p[:2], axis=1) < 0.0008]
        assert len(near) == 0 or (near[:, 2].max() - p[2]) < 4e-4


def test_names_joints_and_facts(lit: Scene, files: Path) -> None:
    gltf, mesh = lit.gltf, lit.mesh("head")
    assert mesh.extras["targetNames"] == list(EXPRESSIONS)
    assert [gltf.materials[p.material].name for p in mesh.primitives] == [
        "skin",
        "eyes",
        "teeth",
        "tongue",
        "mouth",
    ]
    assert all(len(p.targets) == 52 for p in mesh.primitives)
    assert [gltf.nodes[j].name for j in gltf.skins[0].joints] == list(JOINTS)
    assert {m.name for m in gltf.meshes} == {"head", "hair", "body"}
    assert (
        gltf.asset.extras["consent"] == INFO["consent"]
        and "synthetic" in gltf.asset.extras["synthetic_media"]
    )
    assert "Apache-2.0" in gltf.asset.copyright
    sidecar = json.loads((files / "lit.arkit.json").read_text())
    assert sidecar["targets"] == list(EXPRESSIONS) and sidecar["consent"] == INFO["consent"]


def test_shapes_are_stored_sparsely(lit: Scene) -> None:
    for p in lit.mesh("head").primitives:
        for t in p.targets:
            assert lit.gltf.accessors[t["POSITION"]].bufferView is None


def test_shapes_that_move_nothing_have_data(lit: Scene) -> None:
    """An accessor without bytes is valid, but assimp and UnityGLTF refuse it."""
    still = 0
    for p in lit.mesh("head").primitives:
        for t in p.targets:
            accessor = lit.gltf.accessors[t["POSITION"]]
            assert accessor.sparse is not None and accessor.sparse.count >= 1
            if not lit.array(t["POSITION"]).any():
                still += 1
                assert accessor.sparse.count == 1 and accessor.min == accessor.max == [0, 0, 0]
    assert still > 50


def test_a_smaller_texture(avatar: MeshAvatar, tmp_path: Path) -> None:
    written = export_avatar(avatar, tmp_path / "small.glb", texture_size=32)
    assert [p.name for p in written] == ["small.glb", "small.arkit.json"]
    camera, params = view_of(avatar)
    read = Scene(written[0]).render(camera, avatar.source.light)
    assert 25 < psnr(read, picture(avatar, camera, params)) < 50


def test_skin_maps_travel_with_the_avatar_into_the_file(avatar: MeshAvatar, tmp_path: Path) -> None:
    side = avatar.texture.shape[0]
    dice = np.random.default_rng(3)
    normals = dice.integers(0, 256, (side, side, 3), np.uint8)
    factors = dice.integers(0, 256, (side, side), np.uint8)
    replace(avatar, skin_maps=SkinMaps.from_bytes(normals, factors)).save(tmp_path / "me.avatar")
    kept = MeshAvatar.from_package(read_package(tmp_path / "me.avatar"), tmp_path / "me.avatar")
    assert kept.skin_maps is not None
    assert np.array_equal(kept.skin_maps.micronormal_bytes(), normals)
    assert np.array_equal(kept.skin_maps.specular_bytes(), factors)
    export_avatar(kept, tmp_path / "me.glb")
    scene = Scene(tmp_path / "me.glb")
    skin, *others = scene.gltf.materials
    assert skin.name == "skin" and all(m.normalTexture is None for m in others)
    normal, specular = skin.normalTexture.index, skin.extensions["KHR_materials_specular"]["specularTexture"]
    stored = [
        np.array(
            Image.open(io.BytesIO(scene.view(scene.gltf.images[scene.gltf.textures[k].source].bufferView)))
        )
        for k in (normal, specular["index"])
    ]
    assert np.array_equal(stored[0], normals) and np.array_equal(stored[1][..., 3], factors)
    assert (stored[1][..., :3] == 255).all()
    export_avatar(kept, tmp_path / "small.glb", texture_size=64)
    small = Scene(tmp_path / "small.glb")
    assert Image.open(io.BytesIO(small.view(small.gltf.images[-1].bufferView))).size == (64, 64)
    export_avatar(kept, tmp_path / "baked.glb", shading="baked")
    assert len(Scene(tmp_path / "baked.glb").gltf.images) == 1 + len(avatar.shells)


def test_skin_maps_that_do_not_belong_together_are_refused(avatar: MeshAvatar, tmp_path: Path) -> None:
    package = avatar.package()
    lonely = {**package.textures, "specular": np.zeros((8, 8), np.uint8)}
    with pytest.raises(HeadcastError, match="skin maps don't belong together"):
        MeshAvatar.from_package(replace(package, textures=lonely), tmp_path / "x.avatar")
