"""Synthetic heads as folders of images and numbers, for those who want files: one folder a person."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.files import atomic_path
from headcast.head.names import EXPRESSIONS
from headcast.head.params import HeadParams
from headcast.image import linear_to_srgb, save_png
from headcast.synth.appearance import BEARDS
from headcast.synth.batch import SynthBatch
from headcast.synth.config import LABELS, SynthConfig
from headcast.synth.framing import find_framing
from headcast.synth.lights import Light
from headcast.synth.paint import CHANNELS
from headcast.synth.people import TONES
from headcast.synth.recorded import Recording
from headcast.synth.stream import make_batch

__all__ = ["DEPTH_UNIT", "write_person_folders"]

DEPTH_UNIT = 1e-4
"""Metres of one step of a depth image."""

VERSION = 2


def write_person_folders(
    config: SynthConfig,
    identities: int,
    out: Path,
    device: torch.device,
    seed: int,
    progress: Callable[[float, str], None],
    recordings: tuple[Recording, ...] = (),
) -> tuple[int, int]:
    """Write people 0 .. identities - 1 of the config's split; return how many were made and how many existed.

    Args:
        recordings: people move as in these, instead of as authored.

    Each person's folder (``train_000012``) appears when it is complete; a later call with the same settings
    makes only those that are missing.

    Raises:
        HeadcastError: the folder cannot be written or holds heads made with other settings.
    """
    if identities < 1:
        raise HeadcastError("synth: --identities must be at least 1")
    _claim(config, out, seed, recordings)
    todo = [i for i in range(identities) if not (out / _name(config, i)).is_dir()]
    for k, number in enumerate(todo):
        progress(k / len(todo), f"person {number}")
        batch = make_batch(replace(config, people=1), device, seed, np.array([number]), recordings=recordings)
        _write_person(batch, out, _name(config, number))
    progress(1.0, "done")
    return len(todo), identities - len(todo)


def _name(config: SynthConfig, number: int) -> str:
    return f"{config.split}_{number:06d}"


def _claim(config: SynthConfig, out: Path, seed: int, recordings: tuple[Recording, ...]) -> None:
    """Write or check ``synth.json`` and clear what an interrupted run left."""
    if out.exists() and not out.is_dir():
        raise HeadcastError(f"{out}: is a file; name a folder for the heads")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for rest in out.glob(".making_*"):
            shutil.rmtree(rest)
    except OSError as e:
        raise HeadcastError(f"{out}: cannot be written ({e.strerror}); choose another place") from e
    facts = _facts(config, seed, recordings)
    index = out / "synth.json"
    if index.is_file():
        try:
            known = json.loads(index.read_text())
        except ValueError:
            known = None
        if known != facts:
            raise HeadcastError(f"{out}: holds heads made with other settings; choose another folder")
        return
    with atomic_path(index) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n")


def _facts(config: SynthConfig, seed: int, recordings: tuple[Recording, ...]) -> dict[str, Any]:
    """Return what ``synth.json`` says, as it reads back from JSON."""
    own = ("people", "at_once", "split") + (() if config.pbr else ("pbr",))
    settings = {k: v for k, v in asdict(config).items() if k not in own}
    settings["framing"] = find_framing(config.framing).name
    facts = {
        "format": "headcast-synth",
        "version": VERSION,
        "seed": seed,
        "settings": settings,
        "labels": LABELS,
        "texture_channels": CHANNELS,
        "expressions": EXPRESSIONS,
        "depth_unit_metres": DEPTH_UNIT,
        "synthetic_media": True,
        "motion": [{"name": r.name, "fps": r.fps, "frames": len(r.expression)} for r in recordings]
        or "authored",
    }
    return json.loads(json.dumps(facts))


def _write_person(batch: SynthBatch, out: Path, name: str) -> None:
    folder = out / f".making_{name}"
    try:
        folder.mkdir()
        for i in range(len(batch)):
            stem = f"f{int(batch.frame[i]):05d}_v{int(batch.view[i]):02d}"
            for kind, image in _images(batch, i).items():
                save_png(folder / f"{stem}_{kind}.png", image)
            (folder / f"{stem}.json").write_text(json.dumps(_numbers(batch, i)) + "\n")
        t = batch.textures[0].cpu()
        save_png(folder / "skin_albedo.png", _to_uint8(linear_to_srgb(t[..., :3])))
        z = (1 - (t[..., 3:5] ** 2).sum(-1, keepdim=True)).clamp(min=0).sqrt()
        save_png(folder / "skin_micronormal.png", _to_uint16(torch.cat([t[..., 3:5], z], -1) / 2 + 0.5))
        save_png(folder / "skin_specular.png", _to_uint8(t[..., 5]))
        save_png(folder / "skin_roughness.png", _to_uint8(t[..., 6]))
        (folder / "person.json").write_text(json.dumps(_traits(batch), indent=1) + "\n")
        folder.rename(out / name)
    except OSError as e:
        raise HeadcastError(f"{out}: cannot be written ({e.strerror or e}); choose another place") from e
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _to_uint8(x: Float[Tensor, "*s"]) -> Shaped[np.ndarray, "*s"]:
    return (x.clamp(0, 1) * 255).round().byte().cpu().numpy()


def _to_uint16(x: Float[Tensor, "*s"]) -> Shaped[np.ndarray, "*s"]:
    return (x.clamp(0, 1) * 65535).round().cpu().numpy().astype(np.uint16)


def _images(b: SynthBatch, i: int) -> dict[str, Shaped[np.ndarray, "h w *c"]]:
    uv = torch.cat([b.uv[i].clamp(0, 1), (b.uv[i][..., :1] >= 0).float()], -1)
    return {
        "rgb": _to_uint8(b.rgb[i]),
        "alpha": _to_uint8(b.alpha[i]),
        "background": _to_uint8(b.background[i]),
        "depth": (b.depth[i] / DEPTH_UNIT).round().clamp(0, 65535).cpu().numpy().astype(np.uint16),
        "normal": _to_uint16(b.normal[i] / 2 + 0.5),
        "geometry_normal": _to_uint16(b.geometric_normal[i] / 2 + 0.5),
        "uv": _to_uint16(uv),
        "albedo": _to_uint8(linear_to_srgb(b.albedo[i])),
        "specular": _to_uint8(b.specular[i]),
        "label": b.label[i].cpu().numpy(),
    }


def _to_list(x: Tensor, digits: int = 6) -> Any:
    return np.round(x.double().cpu().numpy(), digits).tolist()


def _numbers(b: SynthBatch, i: int) -> dict[str, Any]:
    return {
        "number": int(b.number[i]),
        "frame": int(b.frame[i]),
        "view": int(b.view[i]),
        "camera": {
            "K": _to_list(b.views.K[i]),
            "cam_from_world": _to_list(b.views.cam_from_world[i]),
            "width": b.views.size,
            "height": b.views.size,
        },
        "head": _head_numbers(b.params, i),
        "light": _light_numbers(b.light, i),
        "landmarks68": _to_list(b.landmarks68[i], 3),
        "landmarks478": _to_list(b.landmarks478[i], 3),
        "landmarks68_world": _to_list(b.landmarks68_world[i]),
        "landmarks478_world": _to_list(b.landmarks478_world[i]),
    }


def _head_numbers(params: HeadParams, i: int) -> dict[str, Any]:
    return {
        "identity": _to_list(params.identity[i]),
        "expression": dict(zip(EXPRESSIONS, _to_list(params.expression[i]), strict=True)),
        "rotation": _to_list(params.rotation[i]),
        "translation": _to_list(params.translation[i]),
        "neck": _to_list(params.neck[i]),
        "jaw": _to_list(params.jaw[i]),
        "gaze": None if params.gaze is None else _to_list(params.gaze[i]),
    }


def _light_numbers(light: Light, i: int) -> dict[str, Any]:
    return {
        "sky_irradiance": _to_list(light.sky[i]),
        "key": _to_list(light.key[i]),
        "key_colour": _to_list(light.key_colour[i]),
        "key_radius_radians": _to_list(light.key_size[i]),
        "fill": _to_list(light.fill[i]),
        "fill_colour": _to_list(light.fill_colour[i]),
    }


def _traits(b: SynthBatch) -> dict[str, Any]:
    who, appearance = b.person, b.appearance
    return {
        "number": int(who.number[0]),
        "sex": "female" if bool(who.feminine[0]) else "male",
        "age": round(float(who.age[0]), 1),
        "tone": TONES[int(who.tone[0])][0],
        "shape": "as fitted people scatter" if bool(who.fitted[0]) else "by the head model's prior",
        "typology_angle_degrees": round(float(who.ita[0]), 1),
        "skin": _to_list(who.skin[0]),
        "hair": b.hair_names[int(appearance.hair[0])],
        "hair_colour": _to_list(appearance.hair_colour[0]),
        "beard": BEARDS[int(appearance.beard[0])],
        "glasses": bool(appearance.glasses[0]),
        "iris": _to_list(appearance.iris[0]),
    }
