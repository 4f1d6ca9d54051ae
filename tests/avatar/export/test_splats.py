"""Splat files: what is written comes back, in the conventions of each format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.avatar.export.heads import synthetic_avatar
from tests.avatar.export.read_splats import columns, read_ply, read_spz

from headcast.avatar.export.base import export_avatar
from headcast.avatar.export.ply import write_ply
from headcast.avatar.export.splat_ply import SH_C0, splat_rows
from headcast.avatar.export.splats import Splats
from headcast.avatar.export.spz import encode_spz
from headcast.errors import HeadcastError
from headcast.rotation import quaternion_to_matrix

ROTATION = ("rot_0", "rot_1", "rot_2", "rot_3")
SCALE = ("scale_0", "scale_1", "scale_2")


@pytest.fixture(scope="module")
def splats() -> Splats:
    g = np.random.default_rng(0)
    q = g.normal(size=(300, 4))
    q = (q / np.linalg.norm(q, axis=1, keepdims=True)).astype(np.float32)
    position, scale = g.normal(0, 0.1, (300, 3)), g.uniform(-8, -5, (300, 3))
    return Splats(
        position=position.astype(np.float32),
        log_scale=scale.astype(np.float32),
        quaternion=q,
        opacity=g.normal(size=300).astype(np.float32),
        colour=g.uniform(0, 1, (300, 3)).astype(np.float32),
    )


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_ply_in_the_order_of_3dgs(degree: int, splats: Splats, tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", {"vertex": splat_rows(splats, degree)}, ("made by Åsa",))
    elements, comments = read_ply(tmp_path / "a.ply")
    v = elements["vertex"]
    rest = [f"f_rest_{k}" for k in range({0: 0, 1: 9, 3: 45}[degree])]
    assert list(v.dtype.names) == [
        *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"),
        *rest,
        "opacity",
        *SCALE,
        *ROTATION,
    ]
    assert v.dtype.itemsize == 4 * (17 + len(rest)) and comments == ["made by \\xc5sa"]
    np.testing.assert_array_equal(columns(v, "x", "y", "z"), splats.position)
    np.testing.assert_array_equal(columns(v, *ROTATION), splats.quaternion)
    np.testing.assert_array_equal(columns(v, *SCALE), splats.log_scale)
    np.testing.assert_array_equal(v["opacity"], splats.opacity)
    dc = columns(v, "f_dc_0", "f_dc_1", "f_dc_2")
    np.testing.assert_allclose(dc * SH_C0 + 0.5, splats.colour, atol=1e-6)


def test_a_binding_is_the_last_column(splats: Splats) -> None:
    bound = replace(splats, binding=np.arange(300))
    assert splat_rows(bound, 0).dtype.names[-1] == "binding_0" and splat_rows(bound, 0)["binding_0"][7] == 7


def test_half_a_turn_turns_gaussians_too(splats: Splats) -> None:
    turned = splats.turned_about_x()
    half = np.diag([1.0, -1, -1])
    a = quaternion_to_matrix(torch.from_numpy(splats.quaternion)).numpy()
    b = quaternion_to_matrix(torch.from_numpy(turned.quaternion)).numpy()
    np.testing.assert_allclose(b, half @ a, atol=1e-5)
    np.testing.assert_allclose(turned.position, splats.position @ half, atol=1e-7)


def test_spz_within_its_precision(splats: Splats, tmp_path: Path) -> None:
    (tmp_path / "a.spz").write_bytes(encode_spz(splats))
    back = read_spz(tmp_path / "a.spz")
    np.testing.assert_allclose(back["position"], splats.position, atol=1e-6)
    np.testing.assert_allclose(back["log_scale"], splats.log_scale, atol=1 / 31)
    np.testing.assert_allclose(back["colour"], splats.colour, atol=0.004)
    np.testing.assert_allclose(back["alpha"], 1 / (1 + np.exp(-splats.opacity)), atol=0.0021)
    assert np.abs((back["quaternion"] * splats.quaternion).sum(1)).min() > 0.99999
    assert encode_spz(splats) == encode_spz(splats)


def test_spz_keeps_far_and_thin_gaussians_in_range(splats: Splats, tmp_path: Path) -> None:
    odd = replace(splats, position=splats.position * 1e4, log_scale=splats.log_scale - 20)
    (tmp_path / "a.spz").write_bytes(encode_spz(odd))
    back = read_spz(tmp_path / "a.spz")
    assert np.abs(back["position"]).max() <= 8 and back["log_scale"].min() == -10
    assert (np.sign(back["position"]) == np.sign(odd.position)).mean() > 0.99


@pytest.mark.parametrize("name", ["splat-ply", "spz"])
def test_a_mesh_has_no_splats(name: str, tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="mesh"):
        export_avatar(
            synthetic_avatar(shells=False), tmp_path / f"a{'.spz' if name == 'spz' else '.ply'}", name
        )
    assert not list(tmp_path.iterdir())
