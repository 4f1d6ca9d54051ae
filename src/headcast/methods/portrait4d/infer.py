"""One photo to a ``TriplaneAvatar`` in one forward pass."""

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
    """Reconstruct an avatar from the first photo; the others only helped to fit the head.

    Args:
        networks: None: the bundled ones.
    """
    networks = load_portrait4d() if networks is None else networks
    first = observations[0]
    with torch.no_grad():
        config = networks.psi.config
        image = crop_image(first.image, first.camera, first.params, config.side, config.centre)
        landmarks = first.camera.project(head.landmarks(head(first.params), 68))
        photo = torch.from_numpy(first.image).permute(2, 0, 1)[None].float() / 127.5 - 1
        motion = networks.motion(align_faces(photo, landmarks[None], networks.face_side))
        appearance = networks.psi.appearance(image, motion)
    light = torch.zeros(9, 3) if first.light is None else torch.as_tensor(first.light).float()
    found = personal_landmarks(head, first.params, first.camera, first.detection)
    points = SurfacePoints(torch.from_numpy(found.triangle).long(), torch.from_numpy(found.bary).float())
    bound = BoundHead(
        head,
        SourceView(first.camera, first.params, light, points),
        portrait4d_provenance(head, seed, consent, first.notes),
    )
    own_motion = motion[0] if networks.expression_to_motion is None else None
    return TriplaneAvatar(bound, appearance, networks, own_motion)


def portrait4d_provenance(
    head: HeadModel, seed: int, consent: str | None, notes: Sequence[str]
) -> Provenance:
    """Describe how the avatar was made, with the terms of the weights in use."""
    card_file = weights_file().with_suffix(".json")
    weights_card = read_card(card_file)
    default_status = "official" if weights_file().stem == OFFICIAL_NAME else "preview"
    preview = "portrait4d's weights are a preview: a blurred face, faint expressions; --method fit is better"
    return Provenance(
        method="portrait4d",
        photos=1,
        seed=seed,
        consent=consent,
        weights=(
            {"name": "portrait4d", "licence": weights_card.get("licence", "see its card")},
            head_weights(head),
        ),
        warnings=(*notes, *([preview] if weights_card.get("status", default_status) == "preview" else [])),
    )
