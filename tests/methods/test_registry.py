"""A method is one folder and one line; methods never import each other; no other file names one."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.command import Run
from tests.test_floors import GRAPH, SOURCE

from headcast import api, registry
from headcast.avatar.base import Avatar, avatar_kinds
from headcast.avatar.gaussian import GaussianAvatar
from headcast.doctor.modelfiles import checkpoints
from headcast.errors import HeadcastError
from headcast.head.params import HeadParams
from headcast.image import load_image
from headcast.methods.base import (
    ImageAnimator,
    Method,
    SkinMapper,
    animator_names,
    get_animator,
    get_method,
    get_skin_mapper,
    make_options,
    method_names,
)
from headcast.methods.fit.method import FitOptions
from headcast.training.recipes import recipe_class, recipes
from headcast.video import read_video, write_video
from headcast.weights.importers import importers

TOY = "tests.methods.toy_method"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line."""
    monkeypatch.setattr(registry, "METHOD_PACKAGES", [*registry.METHOD_PACKAGES, TOY])


@pytest.fixture
def driver(tmp_path: Path, demo_photo: Path) -> Path:
    """Four frames of the demo photo, each darker than the one before."""
    rgb = load_image(demo_photo).rgb
    small = cv2.resize(rgb, (rgb.shape[1] * 300 // rgb.shape[0] // 2 * 2, 300), interpolation=cv2.INTER_AREA)
    write_video(tmp_path / "driver.mp4", ((small * f).astype(np.uint8) for f in (1.0, 0.9, 0.8, 0.7)), 25.0)
    return tmp_path / "driver.mp4"


@pytest.mark.parametrize("name", method_names())
def test_registered_methods_follow_the_protocol(name: str) -> None:
    method = get_method(name)
    assert isinstance(method, Method) and method.name == name and method.description
    assert all(isinstance(o, method.Options) for o in method.variants.values())
    assert isinstance(method.available(), bool)


@pytest.mark.parametrize("name", animator_names())
def test_registered_animators_follow_the_protocol(name: str) -> None:
    animator = get_animator(name)
    assert isinstance(animator, ImageAnimator) and animator.name == name and animator.description
    assert isinstance(animator.available(), bool)


def test_skin_mapper_follows_the_protocol() -> None:
    assert isinstance(get_skin_mapper(), SkinMapper)


def test_every_declared_place_exists() -> None:
    for what in ("methods", "animators", "skin_mappers", "avatar_kinds", "recipes", "framings"):
        for place in registry.collect(what).values():
            assert registry.load_entry(place) is not None, place
    for importer in registry.collect("importers").values():
        assert callable(registry.load_entry(importer.convert))


def test_names_are_refused_with_those_there_are() -> None:
    with pytest.raises(HeadcastError, match="--method fog: unknown; give one of: fit"):
        get_method("fog")
    with pytest.raises(HeadcastError, match="has no option colour; its options: representation"):
        make_options(get_method(), {"colour": "red"})
    with pytest.raises(HeadcastError, match="--representation fog: unknown; give gaussians or mesh"):
        make_options(get_method(), {"representation": "fog"})
    with pytest.raises(HeadcastError, match="takes Portrait4DOptions, not FitOptions"):
        make_options(get_method("portrait4d"), FitOptions())
    assert make_options(get_method(), None) == FitOptions()


def test_two_folders_cannot_declare_one_name(toy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = registry.declarations()
    monkeypatch.setattr(registry, "declarations", lambda: {**declared, "again": declared[TOY]})
    with pytest.raises(ValueError, match=r"again declares methods dots, sparse-dots, which another"):
        registry.collect("methods")


def test_the_toy_is_known_everywhere(toy: None) -> None:
    assert "dots" in method_names() and "sparse-dots" in method_names() and method_names()[0] == "fit"
    assert "dots" in avatar_kinds() and "dots.blobs" in recipes() and "dots" in importers()
    assert recipe_class("dots.blobs").__name__ == "ToyRecipe"
    assert any(c.name == "Dots" for c in checkpoints())
    assert "dimmer" in animator_names() and isinstance(get_animator("dimmer"), ImageAnimator)


def test_the_toy_in_the_command_line(
    toy: None, run: Run, demo_photo: Path, driver: Path, tmp_path: Path
) -> None:
    code, words, _ = run("create", "--method", "dots", "--help")
    assert code == 0 and "--radius INT" in words and "--folder PATH" in words and "landmarks as dots" in words
    assert "--representation" not in words
    assert run("create", demo_photo, "--method", "dots", "--representation", "mesh")[0] == 2
    me = tmp_path / "me.avatar"
    code, _, errors = run("create", demo_photo, "--method", "sparse-dots", "--radius", "3", "-o", me)
    assert code == 0, errors
    code, words, _ = run("info", me)
    assert code == 0 and "dots" in words and "sparse-dots" in words
    assert run("render", me, "-o", tmp_path / "me.png")[0] == 0
    assert (load_image(tmp_path / "me.png").rgb > 128).mean() > 0.005
    code, _, errors = run(
        "animate", me, "--drive", driver, "-o", tmp_path / "out.mp4", "--background", "black"
    )
    assert code == 0, errors
    frames = read_video(tmp_path / "out.mp4").frames
    assert len(frames) == 4
    brightness = [float(np.percentile(f, 99.9)) for f in frames]
    assert brightness == sorted(brightness, reverse=True) and brightness[0] > brightness[-1] + 10
    code, _, errors = run("export", me, "--to", "glb", "-o", tmp_path / "me.glb")
    assert code == 2 and "headcast bake" in errors


def test_the_toy_animator(toy: None, run: Run, demo_photo: Path, driver: Path, tmp_path: Path) -> None:
    out = tmp_path / "dim.mp4"
    assert run("animate", demo_photo, "--method", "dimmer", "-o", out)[0] == 2
    code, _, errors = run("animate", demo_photo, "--method", "dimmer", "--drive", driver, "-o", out)
    assert code == 0, errors
    frames = read_video(out).frames
    assert len(frames) == 4 and frames[0].mean() > frames[-1].mean() * 1.2
    code, _, errors = run("animate", demo_photo, "--method", "fog", "--drive", driver)
    assert code == 2 and "fog" in errors and "dimmer" in errors


def documented_method() -> list[tuple[str, str]]:
    """The files in the section 'Add a method' of docs/architecture.md: name and content."""
    text = (SOURCE.parent.parent / "docs" / "architecture.md").read_text()
    return re.findall(r"```python\n# (\S+)\n(.*?)```", text, re.DOTALL)


def test_the_documented_ten_lines(
    run: Run, demo_photo: Path, driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, code in documented_method():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "METHOD_PACKAGES", [*registry.METHOD_PACKAGES, "foo"])
    try:
        assert "--grey INT" in run("create", "--method", "foo", "--help")[1]
        me = tmp_path / "me.avatar"
        code, _, errors = run("create", demo_photo, "--method", "foo", "--grey", "90", "-o", me)
        assert code == 0, errors
        avatar = api.load(me)
        assert avatar.mesh is not None and (avatar.mesh.texture == 90).all()
        assert run("render", me, "-o", tmp_path / "me.png")[0] == 0
        assert run("animate", me, "--preset", "speech", "--frames", 3, "-o", tmp_path / "a.mp4")[0] == 0
        assert run("export", me, "--to", "glb", "-o", tmp_path / "me.glb")[0] == 0
        pytest.importorskip("dlib", reason="the evaluator's identity network comes with the extra metrics")
        (tmp_path / "clips").mkdir()
        driver.rename(tmp_path / "clips" / "a.mp4")
        code, _, errors = run(
            "evaluate",
            "foo",
            "--protocol",
            "self-reenactment",
            "--data",
            tmp_path / "clips",
            "--frames",
            3,
            "--measured",
            1,
            "-o",
            tmp_path / "table",
        )
        assert code == 0, errors
        table = (tmp_path / "table" / "evaluation.md").read_text()
        assert "| foo" in table and "| fit" in table
    finally:
        for name in [m for m in sys.modules if m.split(".")[0] == "foo"]:
            del sys.modules[name]


def method_of(module: str) -> str | None:
    """The method's folder that a module lies in."""
    parts = module.split(".")
    folders = {p.name for p in (SOURCE / "methods").iterdir() if (p / "__init__.py").is_file()}
    return parts[1] if len(parts) > 1 and parts[0] == "methods" and parts[1] in folders else None


def test_methods_do_not_import_each_other() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in GRAPH.items()
        for other in others
        if method_of(module) and method_of(other) and method_of(module) != method_of(other)
    ]
    assert not wrong


OTHER_MEANINGS = {"fit": {"evaluate/multiview_report.py", "evaluate/side_views.py", "observe/report.py"}}
"""Where a method's name is another thing's: how well landmarks fit."""


def test_only_the_registry_names_a_method() -> None:
    folders = sorted(p.name for p in (SOURCE / "methods").iterdir() if (p / "__init__.py").is_file())
    assert {"fit", "portrait4d", "uhr_texture"} <= set(folders)
    for name in folders:
        # as a module, or alone between quotes
        word = re.compile(rf"methods[./]{name}\b|[\"'`]{name}(:\w+)?[\"'`]")
        found = {
            str(p.relative_to(SOURCE))
            for p in sorted(SOURCE.rglob("*.py"))
            if SOURCE / "methods" / name not in p.parents and word.search(p.read_text())
        }
        assert found - OTHER_MEANINGS.get(name, set()) <= {"registry.py"}, (name, found)


def rendered(avatar: Avatar, params: HeadParams) -> torch.Tensor:
    """The colours of a small rendering in the source view."""
    with torch.no_grad():
        return avatar.render(params, avatar.source.camera.scaled(0.4)).rgb


def test_two_threads_render_one_avatar(demo_photo: Path) -> None:
    """Blinking in one thread must not show in the other: nothing that is shared may change."""
    made = api.create(demo_photo, options={"texture_size": 256})
    assert isinstance(made, GaussianAvatar)
    for avatar in (made, made.mesh):
        closed = made.source.params.with_expression({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
        opened = made.source.params.with_expression({"eyeBlinkLeft": 0.0, "eyeBlinkRight": 0.0})
        render = partial(rendered, avatar)
        alone = {id(p): render(p) for p in (closed, opened)}
        assert float((alone[id(closed)] - alone[id(opened)]).abs().max()) > 0.05
        with ThreadPoolExecutor(2) as pool:
            order = [closed, opened] * 6
            for params, image in zip(order, pool.map(render, order), strict=True):
                assert torch.equal(image, alone[id(params)])
