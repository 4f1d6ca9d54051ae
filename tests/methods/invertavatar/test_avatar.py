"""An avatar keeps its evidence in its file, and later frames improve it; bad ones are left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.command import Run
from tests.plain_head import head_and_photo

from headcast import api
from headcast.avatar.package import read_package, write_package
from headcast.errors import HeadcastError
from headcast.image import load_image, save_png
from headcast.methods.base import Updater, get_method, get_updater
from headcast.methods.invertavatar.avatar import IncrementalAvatar
from headcast.methods.invertavatar.fusion import first_state
from headcast.methods.invertavatar.gate import FrameTraits, reason_to_skip, remember_traits
from headcast.observe.fit import Fitter
from headcast.observe.recursive import ShapeEvidence
from headcast.observe.types import Observation


@pytest.fixture(scope="module")
def scene() -> tuple[IncrementalAvatar, Observation]:
    """A plain avatar that has seen one photo, and the photo."""
    plain, photo = head_and_photo(192, 600.0)
    shape = ShapeEvidence.empty(plain.head.identities, (192, 192), Fitter(plain.head).prior)
    state = first_state(plain.mesh, [photo], replace(shape, count=1))
    return IncrementalAvatar(plain.mesh, plain.gaussians, state), photo


def test_the_file_holds_the_evidence(scene: tuple[IncrementalAvatar, Observation], tmp_path: Path) -> None:
    avatar, _ = scene
    avatar.save(tmp_path / "a.avatar")
    back = api.load(tmp_path / "a.avatar")
    assert isinstance(back, IncrementalAvatar) and back.splats is back
    for name, x in avatar.state.weights.items():
        assert np.allclose(back.state.weights[name], x, atol=2e-3)
    view = avatar.source
    with torch.no_grad():
        a, b = (x.render(view.params, view.camera).rgb for x in (avatar, back))
    assert (a - b).abs().mean() < 2e-3


def test_a_file_with_broken_evidence_is_refused(
    scene: tuple[IncrementalAvatar, Observation], tmp_path: Path
) -> None:
    path = tmp_path / "a.avatar"
    scene[0].save(path)
    whole = read_package(path)
    images = {k: whole.textures[k] for k in whole.textures}
    for name in [k for k in whole.tensors if k.startswith("evidence.") and "person" not in k]:
        wrong = {**whole.tensors, name: torch.full_like(whole.tensors[name], torch.nan)}
        write_package(path, replace(whole, tensors=wrong, textures=images))
        with pytest.raises(HeadcastError, match="damaged avatar file"):
            api.load(path)


def test_only_avatars_with_evidence_are_refined(scene: tuple[IncrementalAvatar, Observation]) -> None:
    avatar, photo = scene
    assert isinstance(get_updater(avatar), Updater)
    plain = head_and_photo(64, 200.0)[0]
    with pytest.raises(HeadcastError, match="create it with --method"):
        get_updater(plain)
    method = get_method(avatar.kind)
    assert isinstance(method, Updater)
    with pytest.raises(HeadcastError, match="keeps no evidence"):
        method.update(plain, [photo], method.Options())


def traits(person: int, skin: float = -1.0, detail: float = -1.5) -> FrameTraits:
    vector = np.zeros(8)
    vector[person] = 1.0
    return FrameTraits(vector, np.full(3, skin), np.full(3, -3.0), detail, 1.0)


def test_the_gate_names_its_reason(scene: tuple[IncrementalAvatar, Observation]) -> None:
    avatar, photo = scene
    state = remember_traits(remember_traits(avatar.state, traits(0)), traits(0))
    seen = replace(photo, landmark_error=1.1)
    assert reason_to_skip(traits(0), state, seen) is None
    assert "another person" in str(reason_to_skip(traits(1), state, seen))
    assert "blurred" in str(reason_to_skip(traits(0, detail=-2.2), state, seen))
    turned = replace(seen, params=seen.params.replace(rotation=torch.tensor([0.0, 1.2, 0.0])))
    assert "turned" in str(reason_to_skip(traits(0), state, turned))
    points = photo.detection.points.copy()
    points[[386, 159]] = points[[374, 145]]  # upper lids on the lower ones
    shut_eyes = replace(seen, detection=replace(photo.detection, points=points))
    assert "eye" in str(reason_to_skip(traits(0), state, shut_eyes))
    dark = traits(0, skin=-1.6)
    assert reason_to_skip(dark, state, seen) is None  # another light is no other person


def test_missing_photos_are_left_out_with_a_note(demo_photo: Path, tmp_path: Path) -> None:
    grey = tmp_path / "grey.png"
    save_png(grey, np.full((300, 300, 3), 128, np.uint8))
    with torch.no_grad():
        found = api.observe([grey, demo_photo], leave_out=True)
    assert len(found) == 1 and any("grey.png" in note for note in found[0].notes)
    with pytest.raises(HeadcastError, match="no face"):
        api.observe([grey], leave_out=True)


@pytest.mark.slow
def test_from_one_photo_to_two_by_the_command_line(run: Run, demo_photo: Path, tmp_path: Path) -> None:
    """One photo gives the default method's avatar; a blurred one is left out, a good one is taken in."""
    import cv2

    rgb = load_image(demo_photo).rgb
    small = cv2.resize(rgb, (rgb.shape[1] * 420 // rgb.shape[0], 420), interpolation=cv2.INTER_AREA)
    first, brighter, blurred = (tmp_path / f"{n}.png" for n in ("first", "brighter", "blurred"))
    save_png(first, small)
    save_png(brighter, (small * 1.1).clip(0, 255).astype(np.uint8))
    save_png(blurred, cv2.blur(small, (15, 1)))
    one, two, plain = (tmp_path / f"{n}.avatar" for n in ("one", "two", "plain"))
    assert run("create", first, "--method", "invertavatar", "-o", one)[0] == 0
    assert run("create", first, "-o", plain)[0] == 0
    a, b = api.load(one), api.load(plain)
    assert a.splats is not None and b.splats is not None
    assert torch.equal(a.splats.gaussians.albedo, b.splats.gaussians.albedo)
    code, _, err = run("refine", one, blurred, brighter, "-o", two)
    assert code == 0 and "blurred.png: left out" in err
    c = api.load(two)
    assert isinstance(c, IncrementalAvatar) and c.state.used == 2 and c.state.skipped == 1
    assert run("refine", plain, brighter, "-o", tmp_path / "no.avatar")[0] == 2
    assert not (tmp_path / "no.avatar").exists()
