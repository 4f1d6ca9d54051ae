"""Reconstruct a ``TriplaneAvatar`` from one photo in one forward pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from headcast.avatar.bound import BoundHead
from headcast.avatar.provenance import Provenance, head_weights
from headcast.avatar.source import SourceView, SurfacePoints
from headcast.head.model import HeadModel
from headcast.methods.portrait4d.avatar import TriplaneAvatar
from headcast.methods.portrait4d.crop import crop_image
from headcast.methods.portrait4d.motion_embedding import align_faces
from headcast.methods.portrait4d.weights import (
    OFFICIAL_NAME,
    Portrait4DNetworks,
    load_portrait4d,
    weights_file,
)
from headcast.observe.personal import personal_landmarks
from headcast.observe.types import Observation
from headcast.weights import read_card

__all__ = ["reconstruct"]


def reconstruct(
    observations: Sequence[Observation],
    head: HeadModel,
    *,
    seed: int = 0,
    consent: str | None = None,
    networks: Portrait4DNetworks | None = None,
) -> TriplaneAvatar:
    """Reconstruct an avatar from the first photo; the others serve the fit of the head model alone.

    Args:
        networks: None takes the installed ones.
    """
    networks = load_portrait4d() if networks is None else networks
    source = observations[0]
    with torch.no_grad():
        config = networks.psi.config
        image = crop_image(source.image, source.camera, source.params, config.side, config.centre)
        landmarks = source.camera.project(head.landmarks(head(source.params), 68))
        photo = torch.from_numpy(source.image).permute(2, 0, 1)[None].float() / 127.5 - 1
        motion = networks.motion(align_faces(photo, landmarks[None], networks.face_side))
        appearance = networks.psi.appearance(image, motion)
    light = torch.zeros(9, 3) if source.light is None else torch.as_tensor(source.light).float()
    personal = personal_landmarks(head, source.params, source.camera, source.detection)
    surface_points = SurfacePoints(
        torch.from_numpy(personal.triangle).long(), torch.from_numpy(personal.bary).float()
    )
    bound_head = BoundHead(
        head,
        SourceView(source.camera, source.params, light, surface_points),
        portrait4d_provenance(head, seed, consent, source.notes),
    )
    source_motion = motion[0] if networks.expression_to_motion is None else None
    return TriplaneAvatar(bound_head, appearance, networks, source_motion)


def portrait4d_provenance(
    head: HeadModel, seed: int, consent: str | None, notes: Sequence[str]
) -> Provenance:
    """Describe how the avatar was made, with the licences of the weights in use."""
    card_file = weights_file().with_suffix(".json")
    weights_card = read_card(card_file)
    default_status = "official" if weights_file().stem == OFFICIAL_NAME else "preview"
    preview_warning = (
        "portrait4d's weights are a preview: a blurred face, faint expressions; --method fit is better"
    )
    return Provenance(
        method="portrait4d",
        photos=1,
        seed=seed,
        consent=consent,
        weights=(
            {"name": "portrait4d", "licence": weights_card.get("licence", "see its card")},
            head_weights(head),
        ),
        warnings=(
            *notes,
            *([preview_warning] if weights_card.get("status", default_status) == "preview" else []),
        ),
    )
