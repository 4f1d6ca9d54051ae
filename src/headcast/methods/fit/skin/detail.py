"""Blend the finished texture at the photos' own detail."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.camera import project_points
from headcast.head.model import HeadModel
from headcast.image import linear_to_srgb, sample_lanczos, srgb_table
from headcast.observe.types import Observation
from headcast.texture.texels import Texels, interpolate_attributes, texels_of

__all__ = ["blend_detailed_texture", "blend_texture", "texture_size_for"]

SIZES = (1024, 2048, 4096)
MIN_TEXELS_PER_PIXEL = 1.2  # of the photo, at the face
MIN_CONFIDENCE = 0.004


def blend_texture(
    texels: Texels,
    confidence: Float[np.ndarray, "n"],
    albedo: Float[np.ndarray, "n 3"],
    fill: Float[np.ndarray, "n 3"],
) -> UInt8[np.ndarray, "s s 3"]:
    """Blend the texture (sRGB): ``albedo`` weighted by confidence over ``fill``, in sRGB."""
    weight = confidence[:, None]
    mixed = weight * linear_to_srgb(albedo.clip(0, 1)) + (1 - weight) * linear_to_srgb(fill.clip(0, 1))
    return texels.to_image((mixed * 255 + 0.5).astype(np.uint8))


def blend_detailed_texture(
    head: HeadModel,
    observations: list[Observation],
    base: Texels,
    gains: list[Float[np.ndarray, "n 3"]],
    confidence: Float[np.ndarray, "n"],
    fill: Float[np.ndarray, "n 3"],
    size: int,
) -> UInt8[np.ndarray, "s s 3"]:
    """Blend a larger texture: weights of the base size are upsampled, the photos sampled again.

    Args:
        gains: for every photo, the factors that turn its linear colours into its part of the albedo.
    """
    import cv2

    def upsample(values: Float[np.ndarray, "n *c"]) -> Float[np.ndarray, "s s *c"]:
        return cv2.resize(base.to_image(values), (size, size), interpolation=cv2.INTER_LINEAR)

    fine = texels_of(head, size)
    confidence_large = fine.from_image(upsample(confidence))
    covered = np.flatnonzero(confidence_large > MIN_CONFIDENCE)
    sub = fine.subset(covered)
    albedo = np.zeros((len(covered), 3), np.float32)
    for observation, gain in zip(observations, gains, strict=True):
        pixel, _ = project_points(
            interpolate_attributes(head(observation.params).numpy(), head.faces.numpy(), sub),
            observation.camera,
        )
        albedo += srgb_table()[sample_lanczos(observation.image, pixel)] * sub.from_image(upsample(gain))
    out = linear_to_srgb(fine.from_image(upsample(fill)).clip(0, 1))
    weight = confidence_large[covered, None]
    out[covered] = weight * linear_to_srgb(albedo.clip(0, 1)) + (1 - weight) * out[covered]
    return fine.to_image((out * 255 + 0.5).astype(np.uint8))


def texture_size_for(observation: Observation, head: HeadModel) -> int:
    """Return the smallest size at which a texel of the face is finer than a pixel of the photo."""
    vertices = head(observation.params)
    pixel = observation.camera.project(vertices)
    pixels, units = _areas(pixel[head.faces]), _areas(head.uv[head.faces_uv])
    normals = head.vertex_normals(vertices)[head.faces].mean(1)
    to_camera = observation.camera.center - vertices[head.faces].mean(1)
    is_frontal = (torch.nn.functional.cosine_similarity(normals, to_camera, dim=1) > 0.5) & (units > 0)
    near_landmarks = torch.zeros(len(vertices), dtype=torch.bool)
    landmark_faces = torch.as_tensor(head.landmark478_faces)
    near_landmarks[head.faces[landmark_faces].reshape(-1)] = True
    is_frontal &= near_landmarks[torch.as_tensor(head.faces)].all(1) & (
        head.part == head.part_names.index("skin")
    )
    needed = (
        MIN_TEXELS_PER_PIXEL * float((pixels[is_frontal] / units[is_frontal]).sqrt().median())
        if bool(is_frontal.any())
        else 0.0
    )
    return next((s for s in SIZES if s >= needed), SIZES[-1])


def _areas(corners: Float[Tensor, "f 3 2"]) -> Float[Tensor, "f"]:
    a, b, c = corners.unbind(1)
    return ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).abs()
