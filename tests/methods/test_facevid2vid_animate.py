"""From a checkpoint in its authors' form to an animated photo; tiny networks stand for the official ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.command import Run

from headcast.doctor.modelfiles import identify_network
from headcast.errors import HeadcastError
from headcast.image import load_image
from headcast.methods.base import get_animator, make_options
from headcast.methods.facevid2vid import importing, infer, weights
from headcast.methods.facevid2vid.config import BETA, OFFICIAL, ORIGINAL, TINY
from headcast.methods.facevid2vid.crop import clip_square, crop_face
from headcast.methods.facevid2vid.generator import Generator
from headcast.video import Clip, read_video, write_video
from headcast.weights import load_tensors

TINY_BETA = replace(TINY, decoder="original", reduction=1, legacy_rotation=True)
CONFIGS = (TINY, replace(TINY, decoder="original"), TINY_BETA)


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's folder is here; the published sizes are small ones."""
    monkeypatch.setenv("HEADCAST_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(importing, "PUBLISHED", dict(zip(CONFIGS, ("new", "original", "beta"), strict=True)))
    monkeypatch.setattr(weights, "CONFIGS", CONFIGS)
    weights._read_cached.cache_clear()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint as the authors write it."""
    return write_checkpoint(tmp_path / "00000099-checkpoint.pth.tar", CONFIGS[0])


def write_checkpoint(path: Path, config: object) -> Path:
    """Write networks with random weights, optimizers and what else a training leaves."""
    torch.manual_seed(3)
    networks = weights.build_networks(config)  # type: ignore[arg-type]
    learn_statistics(networks)
    content = {k: v.state_dict() for k, v in networks.items()}
    extra = {"discriminator": {"x": torch.zeros(3)}, "epoch": 99, "optimizer_generator": {"state": {}}}
    torch.save({**content, **extra}, path)
    return path


@torch.no_grad()
def learn_statistics(networks: dict[str, torch.nn.Module]) -> None:
    """Give batch norms the statistics of some images: else random networks hardly see what they look at."""
    images = torch.rand(8, 3, 8, 8)
    images = torch.nn.functional.interpolate(images, (64, 64), mode="bicubic").clamp(0, 1)
    detector, pose, generator = (networks[k] for k in ("kp_detector", "he_estimator", "generator"))
    detector.get_submodule("kp").weight.mul_(5)  # keypoints that lie apart
    for module in (m for network in networks.values() for m in network.modules()):
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            module.momentum = 1.0
    keypoints = detector(images)
    pose(images)
    generator(images, keypoints, keypoints.flip(0))


@pytest.fixture
def driver(tmp_path: Path, demo_photo: Path) -> Path:
    """Four frames of the demo photo that moves in its frame."""
    rgb = load_image(demo_photo).rgb
    rgb = cv2.resize(rgb, (260, 300), interpolation=cv2.INTER_AREA)

    def frames() -> Iterator[np.ndarray]:
        for k in range(4):
            yield np.roll(rgb, 6 * k, 1)

    write_video(tmp_path / "driver.mp4", frames(), 25.0)
    return tmp_path / "driver.mp4"


def test_without_weights_one_line_says_what_to_do(
    run: Run, demo_photo: Path, driver: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    line = ["animate", demo_photo, "--method", "facevid2vid", "--drive", driver, "-o", out]
    code, _, err = run(*line)
    assert code == 2 and len(err.strip().splitlines()) == 1 and not out.exists()
    assert "headcast weights import facevid2vid FILE" in err and "CC BY-NC" in err
    code, _, err = run(*line, "--weights", tmp_path / "none.safetensors")
    assert code == 2 and "none.safetensors: is not there" in err
    assert not get_animator("facevid2vid").available() and get_animator("facevid2vid").version() == ""


def test_from_a_checkpoint_to_a_video(
    run: Run, checkpoint: Path, demo_photo: Path, driver: Path, tmp_path: Path
) -> None:
    assert run("weights", "import", "facevid2vid", checkpoint)[0] == 0
    listed = run("weights")[1]
    assert "facevid2vid" in listed
    out = tmp_path / "out.mp4"
    line = ["animate", demo_photo, "--method", "facevid2vid", "--drive", driver, "-o"]
    code, _, err = run(*line, out)
    assert code == 0, err
    record = json.loads((tmp_path / "out.mp4.run.json").read_text())
    assert any("ask first" in note and "CC BY-NC" in note for note in record["notes"])
    plain = read_video(out).frames
    assert len(plain) == 4 and plain[0].shape == (64, 64, 3)
    assert np.abs(np.asarray(plain[0], int) - plain[3]).max() > 8
    code, _, err = run(*line, tmp_path / "turned.mp4", "--yaw", "30", "--absolute", "--frames", "2")
    assert code == 0, err
    turned = read_video(tmp_path / "turned.mp4").frames
    assert len(turned) == 2 and np.abs(np.asarray(turned[0], int) - plain[0]).max() > 8
    code, _, err = run(*line, tmp_path / "no.mp4", "--yaw", "120")
    assert code == 2 and "--yaw 120" in err
    (tmp_path / "grey.png").write_bytes(cv2.imencode(".png", np.full((200, 200, 3), 128, np.uint8))[1])
    code, _, err = run("animate", tmp_path / "grey.png", *line[2:], tmp_path / "no.mp4")
    assert code == 2 and "no face found" in err and not (tmp_path / "no.mp4").exists()


def test_the_record_says_that_it_is_not_for_commerce(run: Run, checkpoint: Path) -> None:
    assert run("weights", "import", "facevid2vid", checkpoint)[0] == 0
    file = weights.networks_file()
    card = json.loads(file.with_suffix(".json").read_text())
    assert card["commercial"] == "no" and "CC BY-NC 4.0" in card["licence"]
    tensors, meta, _ = load_tensors(file)
    assert "CC BY-NC" in meta["licence"]
    assert {k.split(".")[0] for k in tensors} == {"generator", "kp_detector", "he_estimator"}
    assert not any("num_batches" in k for k in tensors)


@pytest.mark.parametrize("config", CONFIGS, ids=("new", "original", "beta"))
def test_every_published_kind_is_recognised(config: object, tmp_path: Path, run: Run) -> None:
    path = write_checkpoint(tmp_path / "x.pth.tar", config)
    assert run("weights", "import", "facevid2vid", path)[0] == 0
    read = weights.read_face_networks()
    assert read.config == config
    theirs = torch.load(path, weights_only=True)
    for part, network in zip(weights.PARTS, read[1:4], strict=True):
        own = network.state_dict()
        assert all(torch.equal(own[k], v) for k, v in theirs[part].items() if "num_batches" not in k)


def test_other_files_are_refused(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    del content["generator"]["second.weight"]
    torch.save(content, tmp_path / "x.pth.tar")
    code, _, err = run("weights", "import", "facevid2vid", tmp_path / "x.pth.tar")
    assert code == 2 and "is no face-vid2vid checkpoint (1 of" in err and "second.weight" in err
    torch.save({"state_dict": {}}, tmp_path / "y.pth")
    assert run("weights", "import", "facevid2vid", tmp_path / "y.pth")[0] == 2
    assert not weights.networks_file().exists()


def test_doctor_knows_the_official_sizes() -> None:
    with torch.device("meta"):
        found = [
            identify_network({"generator": Generator(c).state_dict(), "epoch": 1})
            for c in (OFFICIAL, ORIGINAL, BETA, TINY)
        ]
    assert [f and f.name for f in found] == ["face-vid2vid"] * 3 + [None]


def test_a_still_driver_repeats_one_frame_in_relative_mode(
    run: Run, checkpoint: Path, demo_photo: Path
) -> None:
    """Movements, not poses, are taken over: the first frame shows the photo's own pose whoever drives."""
    assert run("weights", "import", "facevid2vid", checkpoint)[0] == 0
    animator, photo = get_animator("facevid2vid"), load_image(demo_photo).rgb
    frames = np.stack([photo[:, ::-1], photo[:, ::-1]])
    clip = Clip(frames, 25.0, np.arange(2) / 25, None, "mirrored")
    reported: list[float] = []
    moved = list(
        animator.animate_image(
            photo, clip, make_options(animator, None), progress=lambda f, _: reported.append(f)
        )
    )
    assert np.array_equal(moved[0], moved[1])
    assert reported == sorted(reported) and reported[-1] == 1
    own = Clip(photo[None], 25.0, np.zeros(1), None, "own")
    assert np.array_equal(
        next(iter(animator.animate_image(photo, own, make_options(animator, None)))), moved[0]
    )
    posed = list(animator.animate_image(photo, clip, make_options(animator, {"absolute": True})))
    assert not np.array_equal(posed[0], moved[0])


def test_a_driver_without_a_face_is_named(run: Run, checkpoint: Path, demo_photo: Path) -> None:
    assert run("weights", "import", "facevid2vid", checkpoint)[0] == 0
    animator, photo = get_animator("facevid2vid"), load_image(demo_photo).rgb
    clip = Clip(np.full((3, 200, 200, 3), 90, np.uint8), 25.0, np.arange(3) / 25, None, "wall.mp4")
    with pytest.raises(HeadcastError, match=r"wall\.mp4: no face found in any of 3 frames"):
        list(animator.animate_image(photo, clip, make_options(animator, None)))


def test_one_square_holds_all_places_of_a_face() -> None:
    still = clip_square([(100, 100, 200, 220)])
    assert (still.x, still.y) == (150, 160) and still.side == pytest.approx(120 * 1.9)
    moving = clip_square([(100, 100, 200, 220), (400, 100, 500, 220)])
    assert moving.x == 300 and moving.side >= 400 * 1.2
    rgb = np.zeros((300, 300, 3), np.uint8)
    rgb[150:170, 140:160] = 255
    cut = crop_face(rgb, still, 64)
    assert cut.shape == (1, 3, 64, 64) and cut.max() <= 1
    assert float(cut[0, 0, 31, 31]) == pytest.approx(1, abs=0.01) and float(cut[0, 0, 5, 5]) == 0
    assert infer.to_pixels(cut).max() == 255
