"""GaussianAvatars results: import, round trip, refusals. On a made-up FLAME of the published structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.command import Run
from tests.head.synthetic_flame import synthetic

from headcast import api
from headcast.avatar.export.ply import write_ply
from headcast.avatar.export.splats import rest_pose
from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.gaussian_avatars import SH_C0, read_gaussian_avatars, read_rigged_ply
from headcast.avatar.rig import frames_of
from headcast.errors import HeadcastError
from headcast.head.flame import TRIANGLES, VERTICES, Flame, read_flame
from headcast.head.foreign.known import placement_of

COUNT = 4000
TEETH = 37


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADCAST_CACHE", str(cache))


@pytest.fixture(scope="module")
def flame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic().write(tmp_path_factory.mktemp("flame") / "flame2023_Open.pkl")


def rows(count: int = COUNT, teeth: int = 0, degree: int = 0) -> np.ndarray:
    """Gaussians as GaussianAvatars saves them, near their triangles."""
    random = np.random.default_rng(3)
    rest = [f"f_rest_{k}" for k in range(3 * ((degree + 1) ** 2 - 1))]
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *rest, "opacity"]
    names += ["scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3", "binding_0"]
    out = np.zeros(count, [(n, "<f4") for n in names])
    for k in "xyz":
        out[k] = random.normal(0, 0.2, count)
    for k in range(3):
        out[f"f_dc_{k}"] = random.uniform(-0.35, 0.35, count) / SH_C0
        out[f"scale_{k}"] = random.uniform(-2.0, -0.5, count)
    for name in rest:
        out[name] = 0.1
    for k in range(4):
        out[f"rot_{k}"] = random.normal(size=count)
    out["opacity"] = random.uniform(-1, 4, count)
    binding = random.permutation(TRIANGLES)[:count]
    binding[:teeth] = TRIANGLES + np.arange(teeth)
    out["binding_0"] = binding
    return out


def write(folder: Path, table: np.ndarray, **parameters: np.ndarray) -> tuple[Path, Path]:
    """Write both files, with a person's shape and offset unless others are given."""
    random = np.random.default_rng(4)
    folder.mkdir(exist_ok=True, parents=True)
    shape = np.zeros(300, np.float32)
    shape[:12] = random.normal(0, 0.5, 12)
    offset = np.zeros((1, 5143, 3), np.float32)
    offset[0, :VERTICES] = 3e-4 * np.sin(np.arange(VERTICES)[:, None] / 500 + np.arange(3))
    kept = {"shape": shape, "static_offset": offset, "expr": np.zeros((2, 100), np.float32)} | parameters
    write_ply(folder / "point_cloud.ply", {"vertex": table})
    np.savez(folder / "flame_param.npz", **kept)  # type: ignore[arg-type]
    return folder / "point_cloud.ply", folder / "flame_param.npz"


def truth(model: Flame, npz: Path) -> torch.Tensor:
    """The person's vertices at rest in FLAME's own frame."""
    kept = np.load(npz)
    v = model.template + torch.tensordot(torch.from_numpy(kept["shape"]), model.shape_basis, 1)
    return v + torch.from_numpy(kept["static_offset"][0, :VERTICES])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write(tmp_path_factory.mktemp("result"), rows())


@pytest.fixture()
def imported(files: tuple[Path, Path], flame: Path) -> GaussianAvatar:
    return read_gaussian_avatars(*files, flame).avatar


def test_gaussians_lie_where_flame_has_them(
    imported: GaussianAvatar, files: tuple[Path, Path], flame: Path
) -> None:
    model = read_flame(flame)
    rotation, translation = placement_of(imported.head)
    theirs = truth(model, files[1]) @ rotation.T + translation
    surface = imported.mesh.surface
    with torch.no_grad():
        ours = surface.posed(rest_pose(imported)).vertices
        world = imported.world(imported.placed(rest_pose(imported)))
    moved = (ours[:VERTICES] - theirs).norm(dim=-1)
    assert float(moved.quantile(0.95)) < 1e-4, "lids are re-projected at rest, all else is the person's"
    frames = frames_of(theirs, model.faces)
    read = read_rigged_ply(files[0]).gaussians
    t = read.triangle
    expected = (
        frames.origin[t] + frames.size[t, None] * (frames.rotation[t] @ read.position[..., None])[..., 0]
    )
    assert float((world.position - expected).norm(dim=-1).quantile(0.95)) < 2e-4


def test_a_round_trip_keeps_gaussians_and_shape(
    imported: GaussianAvatar, files: tuple[Path, Path], flame: Path, tmp_path: Path
) -> None:
    written = api.export(imported, tmp_path / "again.ply", "splat-ply", rigged=True)
    assert [p.name for p in written] == ["again.ply", "again.mesh.ply", "flame_param.npz"]
    first, again = (read_rigged_ply(p).gaussians for p in (files[0], written[0]))
    for name in ("triangle", "position", "log_scale", "opacity"):
        assert torch.allclose(getattr(first, name).float(), getattr(again, name).float(), atol=1e-5), name
    assert torch.allclose(first.albedo, again.albedo, atol=2e-3)
    turned = (first.quaternion * again.quaternion).sum(-1).abs()
    assert float(turned.min()) > 1 - 1e-5
    second = read_gaussian_avatars(written[0], written[2], flame).avatar
    with torch.no_grad():
        a, b = (x.mesh.surface.posed(rest_pose(x)).vertices for x in (imported, second))
    assert float((a - b).norm(dim=-1).max()) < 2e-4


def test_it_animates_saves_and_opens_like_our_own(imported: GaussianAvatar, tmp_path: Path) -> None:
    imported.save(tmp_path / "me.avatar")
    opened = api.load(tmp_path / "me.avatar")
    image = api.render(opened, size=(96, 96), expression={"jawOpen": 0.6})
    assert image[..., 3].mean() > 5
    assert opened.provenance.method == "GaussianAvatars, imported"
    assert any("its maker's" in w["licence"] for w in opened.provenance.weights)
    written = api.export(opened, tmp_path / "me.html", "html")
    assert written[0].stat().st_size > 1000


def test_teeth_and_view_dependence_are_counted(tmp_path: Path, flame: Path) -> None:
    ply, npz = write(tmp_path, rows(teeth=TEETH, degree=1))
    avatar, notes = read_gaussian_avatars(ply, npz, flame)
    assert any(note.startswith(f"{TEETH} Gaussians of procedural teeth") for note in notes)
    assert any("spherical harmonics" in note for note in notes)
    parts = np.array(avatar.head.part_names)[avatar.head.part[avatar.gaussians.triangle[:TEETH]].numpy()]
    assert set(parts) <= {"teethUpper", "teethLower", "gums", "tongue", "mouth"}
    again, _, parameters = api.export(avatar, tmp_path / "again.ply", "splat-ply", rigged=True)
    second, notes = read_gaussian_avatars(again, parameters, flame)
    assert not notes
    assert torch.equal(second.gaussians.triangle, avatar.gaussians.triangle)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[[n for n in t.dtype.names if n != "binding_0"]].copy(), "no binding_0"),
        (lambda t: t[:0], "holds no Gaussians"),
        (lambda t: _with(t, "x", np.nan), "of 4000 Gaussians hold numbers that are not finite"),
        (lambda t: _with(t, "scale_1", np.inf), "of 4000 Gaussians hold numbers that are not finite"),
        (lambda t: _with(t, "binding_0", 99999), "made with another mesh"),
    ],
)
def test_other_plys_are_refused(change, words: str, tmp_path: Path, flame: Path) -> None:  # type: ignore[no-untyped-def]
    table = change(rows())
    packed = np.zeros(len(table), [(n, "<f4") for n in table.dtype.names])
    for n in table.dtype.names:
        packed[n] = table[n]
    ply, npz = write(tmp_path, packed)
    with pytest.raises(HeadcastError, match=words):
        read_gaussian_avatars(ply, npz, flame)


def _with(table: np.ndarray, name: str, value: float) -> np.ndarray:
    table[name][5] = value
    return table


def test_flame_of_another_edition_is_refused(tmp_path: Path, flame: Path) -> None:
    ply, npz = write(tmp_path, rows(), static_offset=np.zeros((1, 6021, 3), np.float32))
    with pytest.raises(HeadcastError, match=r"\(6021, 3\).*5023 vertices, 5143 with teeth"):
        read_gaussian_avatars(ply, npz, flame)


def test_the_commands_ask_for_what_is_missing(files: tuple[Path, Path], flame: Path, run: Run) -> None:
    for given, words in (
        ((), "add --flame-params"),
        (("--flame-params", files[1]), "add --flame with your FLAME file"),
    ):
        code, _, err = run("enhance", files[0], *given)
        assert code == 2 and words in err and len(err.strip().splitlines()) == 1
    code, _, err = run("enhance", "x.avatar", "--flame", flame)
    assert code == 2 and "only for a .ply" in err


def test_cut_and_foreign_files_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    data = files[0].read_bytes()
    for name, content, words in (
        ("cut.ply", data[: len(data) // 2], "ends early"),
        ("text.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nend_header\n", "binary_little_endian"),
        ("none.ply", b"solid", "no PLY header"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HeadcastError, match=words):
            read_rigged_ply(tmp_path / name)
