"""Optimise a field towards frames: colour, segmentation and depth losses (INSTA, Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import huber_loss

from headcast.head.model import HeadModel
from headcast.methods.ohpavatars.field.march import HeadRays, PosedHeads, camera_rays, march, pose_heads
from headcast.methods.ohpavatars.field.network import RadianceField
from headcast.methods.ohpavatars.field.render import composite_samples
from headcast.methods.ohpavatars.learner import TrainingFrame
from headcast.methods.ohpavatars.store import StepCheckpoint
from headcast.methods.ohpavatars.update import GREY
from headcast.progress import Progress
from headcast.render.mesh import rasterize_mesh

__all__ = ["FieldTraining", "FrameSet", "field_loss", "frame_set", "train_field"]

HUBER_DELTA = 0.1
SEGMENTATION_WEIGHT, DEPTH_WEIGHT = 0.1, 1.0  # of coverage; of metres of depth on the face
GRID_RATE, NETWORK_RATE = 5e-2, 1e-2
HALVINGS = 4.0  # of the rates over the training
FRAMES_A_STEP = 6
OUTSIDE = 0.4  # fraction of rays anywhere in the image, which clear the space around; others meet the person
OCCUPANCY_EVERY, FIRST_UPDATE = 40, 30  # steps
CHECKPOINT_EVERY = 100  # steps
FACE = ("face", "lips", "nose", "brows", "lids")


@dataclass(frozen=True)
class FieldTraining:
    """Size of a training.

    Attributes:
        steps: of Adam. rays: a step. photo_fraction: of the frames of a step that are photos.
    """

    steps: int = 1500
    rays: int = 3072
    photo_fraction: float = 0.34


class FrameSet(NamedTuple):
    """Frames with what rays are compared with.

    Attributes:
        frames: the first ``photos`` are photos. heads: posed as in each frame.
        inside: (m,) flat indices of pixels of each frame that the person covers.
        depth: (h, w) distance to the face along the ray, metres; 0 where unknown.
    """

    frames: Sequence[TrainingFrame]
    photos: int
    heads: PosedHeads
    inside: list[Int[Tensor, " m"]]
    depth: list[Float[Tensor, "h w"]]


def frame_set(
    frames: Sequence[TrainingFrame], photos: int, head: HeadModel, canonical: Float[Tensor, "v 3"]
) -> FrameSet:
    """Pose the head as in every frame, and find covered pixels and the face's depth."""
    heads = pose_heads(head, [f.view.params for f in frames], canonical)
    inside = [torch.from_numpy(np.flatnonzero(f.rgba[..., 3] > 0)) for f in frames]
    return FrameSet(frames, photos, heads, inside, [face_distance(f, head) for f in frames])


def face_distance(frame: TrainingFrame, head: HeadModel) -> Float[Tensor, "h w"]:
    """Rasterize the mesh: distance along each pixel's ray to the face, 0 elsewhere."""
    camera = frame.view.camera
    with torch.no_grad():
        raster = rasterize_mesh(head(frame.view.params), head.faces, camera)
    on_face = head.region_mask(*FACE)[head.faces].all(1)
    wanted = (raster.triangle >= 0) & on_face[raster.triangle.clamp(min=0)]
    y, x = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    across = (x + 0.5 - camera.K[0, 2]) / camera.K[0, 0]
    down = (y + 0.5 - camera.K[1, 2]) / camera.K[1, 1]
    return raster.depth * (1 + across**2 + down**2).sqrt() * wanted


class _Batch(NamedTuple):
    """Rays and what they must meet: premultiplied colour, coverage, distance (0: unknown)."""

    rays: HeadRays
    colour: Float[Tensor, "r 3"]
    alpha: Float[Tensor, " r"]
    depth: Float[Tensor, " r"]


def draw_batch(data: FrameSet, count: int, photo_fraction: float, rng: torch.Generator) -> _Batch:
    """Draw rays through pixels of a few frames."""
    parts = []
    for _ in range(FRAMES_A_STEP):
        if data.photos and float(torch.rand((), generator=rng)) < photo_fraction:
            k = int(torch.randint(data.photos, (), generator=rng))
        else:
            k = int(torch.randint(len(data.frames), (), generator=rng))
        parts.append(_draw_rays(data, k, count // FRAMES_A_STEP, rng))
    rays = HeadRays(*(torch.cat(x) for x in zip(*(p.rays for p in parts), strict=True)))
    colour, alpha, depth = (torch.cat([p[i] for p in parts]) for i in (1, 2, 3))
    return _Batch(rays, colour, alpha, depth)


def _draw_rays(data: FrameSet, k: int, count: int, rng: torch.Generator) -> _Batch:
    frame, inside = data.frames[k], data.inside[k]
    h, w = frame.rgba.shape[:2]
    anywhere = torch.randint(h * w, (count,), generator=rng)
    if len(inside):
        met = inside[torch.randint(len(inside), (count,), generator=rng)]
        anywhere = torch.where(torch.rand(count, generator=rng) < OUTSIDE, anywhere, met)
    pixels = torch.stack([anywhere % w, anywhere // w], -1) + 0.5
    rgba = torch.from_numpy(frame.rgba.reshape(-1, 4)[anywhere.numpy()].astype(np.float32) / 255)
    alpha = rgba[:, 3]
    colour = (rgba[:, :3] - (1 - alpha)[:, None] * (GREY / 255)).clamp(min=0)
    rays = camera_rays(frame.view.camera, frame.view.params, pixels, k)
    return _Batch(rays, torch.minimum(colour, alpha[:, None]), alpha, data.depth[k].reshape(-1)[anywhere])


def field_loss(
    field: RadianceField, heads: PosedHeads, batch: _Batch, rng: torch.Generator
) -> Float[Tensor, ""]:
    """Compute the loss of rays: colour over a random background, coverage, and the face's depth."""
    r = len(batch.alpha)
    samples = march(heads, batch.rays, field.occupied, jitter=torch.rand(r, generator=rng))
    found = composite_samples(field, heads, batch.rays, samples)
    behind = torch.rand(3, generator=rng)
    shown = found.colour + (1 - found.alpha)[:, None] * behind
    wanted = batch.colour + (1 - batch.alpha)[:, None] * behind
    loss = huber_loss(shown, wanted, delta=HUBER_DELTA) / HUBER_DELTA
    loss = loss + SEGMENTATION_WEIGHT * (found.alpha - batch.alpha).abs().mean()
    known = batch.depth > 0
    off = (found.depth - batch.depth * found.alpha).abs() * known
    return loss + DEPTH_WEIGHT * off.sum() / known.sum().clamp(min=1)


def train_field(
    field: RadianceField,
    data: FrameSet,
    training: FieldTraining,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    checkpoint: StepCheckpoint | None = None,
) -> float:
    """Optimise the field in place; return the mean loss of the last tenth of the steps.

    Args:
        checkpoint: where the state is kept every ``CHECKPOINT_EVERY`` steps. A training that was interrupted
            goes on from it, and ends with the parameters of one that was not.
    """
    rng = torch.Generator().manual_seed(seed)
    groups = [
        {"params": list(field.grid.parameters()), "lr": GRID_RATE},
        {"params": [*field.mlp.parameters(), *field.expression.parameters()], "lr": NETWORK_RATE},
    ]
    field.train().requires_grad_(True)
    adam = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-12)
    last: list[float] = []
    state = checkpoint.read() if checkpoint else None
    first = 0 if state is None else _restore_training(state, field, adam, rng, last)
    for step in range(first, training.steps):
        for group, rate in zip(adam.param_groups, (GRID_RATE, NETWORK_RATE), strict=True):
            group["lr"] = rate * 0.5 ** (HALVINGS * step / training.steps)
        with torch.enable_grad():
            batch = draw_batch(data, training.rays, training.photo_fraction, rng)
            loss = field_loss(field, data.heads, batch, rng)
            adam.zero_grad(set_to_none=True)
            loss.backward()
        adam.step()
        if step % OCCUPANCY_EVERY == FIRST_UPDATE % OCCUPANCY_EVERY and step >= FIRST_UPDATE:
            cells = field.occupancy.shape
            k = int(torch.randint(len(data.frames), (), generator=rng))
            field.update_occupancy(torch.rand(*cells, 3, generator=rng), data.heads.expression[k])
        last = [*last, float(loss.detach())][-max(1, training.steps // 10) :]
        if checkpoint and step % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1:
            checkpoint.write(_training_state(field, adam, rng, step + 1, last))
        if progress and step % 10 == 9:
            progress((step + 1) / training.steps, f"field: step {step + 1} of {training.steps}")
    field.eval().requires_grad_(False)
    return sum(last) / max(len(last), 1)


def _training_state(
    field: RadianceField, adam: torch.optim.Adam, rng: torch.Generator, step: int, last: Sequence[float]
) -> dict[str, Tensor]:
    """Gather all that a training depends on from here: parameters, Adam's moments, random state, losses."""
    state = {f"field.{k}": v for k, v in field.state_dict().items()}
    for k, moments in adam.state_dict()["state"].items():
        state |= {f"adam.{k}.{name}": v for name, v in moments.items()}
    losses = torch.tensor(list(last), dtype=torch.float64)
    return {**state, "rng": rng.get_state(), "step": torch.tensor(step), "losses": losses}


def _restore_training(
    state: dict[str, Tensor],
    field: RadianceField,
    adam: torch.optim.Adam,
    rng: torch.Generator,
    last: list[float],
) -> int:
    """Put back a state that ``_training_state`` gathered; return the step to go on with."""
    field.load_state_dict({k.removeprefix("field."): v for k, v in state.items() if k.startswith("field.")})
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        if key.startswith("adam."):
            _, k, name = key.split(".")
            moments.setdefault(int(k), {})[name] = value
    adam.load_state_dict({**adam.state_dict(), "state": moments})
    rng.set_state(state["rng"])
    last[:] = state["losses"].tolist()
    return int(state["step"])
