"""One photo to a ``TriplaneAvatar`` in one forward pass."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch

from headcast import __version__
from headcast.avatar.source import Source, SurfacePoints
from headcast.head.model import HeadModel
from headcast.methods.portrait4d.avatar import TriplaneAvatar
from headcast.methods.portrait4d.motion import faces_of
from headcast.methods.portrait4d.networks import OFFICIAL_NAME, Networks, load_networks, weights_file
from headcast.methods.portrait4d.square import square_of
from headcast.observe.personal import personal_landmarks
from headcast.observe.types import Observation
from headcast.weights import card

__all__ = ["reconstruct"]


def reconstruct(
    observations: Sequence[Observation], head: HeadModel, *, seed: int = 0, consent: str | None = None,
    networks: Networks | None = None,
) -> TriplaneAvatar:  # fmt: skip
    """The avatar of the first photo; the others only helped to fit the head.

    Args:
        networks: None: the bundled ones.
    """
    networks = load_networks() if networks is None else networks
    first = observations[0]
    with torch.no_grad():
        image = square_of(first.image, first.camera, first.params, networks.psi.config.side)
        landmarks = first.camera.project(head.landmarks(head(first.params), 68))
        whole = torch.from_numpy(first.image).permute(2, 0, 1)[None].float() / 127.5 - 1
        motion = networks.motion(faces_of(whole, landmarks[None], networks.face_side))
        appearance = networks.psi.appearance(image, motion)
    light = torch.zeros(9, 3) if first.light is None else torch.as_tensor(first.light).float()
    found = personal_landmarks(head, first.params, first.camera, first.detection)
    own = SurfacePoints(torch.from_numpy(found.triangle).long(), torch.from_numpy(found.bary).float())
    source = Source(first.camera, first.params, light, own)
    info = info_of(head, seed, consent, list(first.notes))
    kept = motion[0] if networks.said is None else None
    return TriplaneAvatar(head, source, info, appearance, networks, kept)


def info_of(head: HeadModel, seed: int, consent: str | None, notes: list[str]) -> dict[str, Any]:
    """How the avatar was made, for its file and for ``headcast info``."""
    beside = weights_file().with_suffix(".json")
    told = json.loads(beside.read_text()) if beside.is_file() else {}
    usual = "official" if weights_file().stem == OFFICIAL_NAME else "preview"
    known = told.get("status", usual)
    preview = "portrait4d's weights are a preview: a blurred face, faint expressions; --method fit is better"
    info: dict[str, Any] = {
        "kind": "triplane", "method": "portrait4d", "created_by": f"headcast {__version__}", "photos": 1,
        "head": {"name": head.name, "hash": head.hash}, "seed": seed,
        "weights": [
            {"name": "portrait4d", "licence": told.get("licence", "see its card")},
            {"name": head.name, "licence": head.licence or card("head").get("licence", "see its card")},
        ],
        "synthetic_media": "Pictures of this avatar are synthetic; they show nothing that the person did.",
        "warnings": [*notes, *([preview] if known == "preview" else [])],
    }  # fmt: skip
    return {**info, "consent": consent} if consent else info
