"""Render a textured, shaded head as an image with straight alpha."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.camera import Camera
from headcast.device import is_cuda
from headcast.render import shaded_numba
from headcast.render.shaded_reference import Space, TexturedScene, render_textured_reference
from headcast.render.texture import Pyramid
from headcast.render.types import Rendering

__all__ = ["GLOSS", "gloss_of", "render_textured"]

GLOSS = {
    "face": (0.55, 0.028),
    "lips": (0.36, 0.03),
    "lids": (0.5, 0.028),
    "nose": (0.48, 0.028),
    "ears": (0.6, 0.025),
    "neck": (0.62, 0.02),
    "sclera": (0.2, 0.03),
    "iris": (0.15, 0.03),
    "pupil": (0.15, 0.03),
    "cornea": (0.15, 0.03),
    "teeth": (0.25, 0.035),
    "gums": (0.3, 0.03),
    "tongue": (0.4, 0.03),
    "mouth": (0.4, 0.015),
}
"""Roughness and reflectance at normal incidence of a head's regions; others have no highlights."""


def gloss_of(region: Int[Tensor, " v"], region_names: tuple[str, ...]) -> Float[Tensor, "v 2"]:
    """Return per-vertex roughness and reflectance from region labels, for :func:`render_textured`."""
    return torch.tensor([GLOSS.get(name, (0.7, 0.0)) for name in region_names])[region.long()]


def render_textured(
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    normals: Float[Tensor, "v 3"],
    uv: Float[Tensor, "u 2"],
    faces_uv: Int[Tensor, "f 3"],
    texture: Float[Tensor, "ht wt c"] | Pyramid,
    camera: Camera,
    *,
    light: Float[Tensor, "9 3"] | None = None,
    texture_space: Space = "srgb",
    gloss: Float[Tensor, "v 2"] | None = None,
    openness: Float[Tensor, "v"] | None = None,
    antialias: int = 2,
    near: float = 0.01,
    colour_space: Space = "srgb",
) -> Rendering:
    """Render the nearest surface with its texture under SH light and a few lamps derived from it.

    Args:
        vertices, normals: world, metres and unit vectors.
        uv: 0..1, origin at the texture's top left; ``faces_uv`` indexes it.
        texture: albedo (with ``light``) or finished colour (without), 3 channels or 4 with coverage.
            Give a :class:`Pyramid`, made once, to render many images.
        light: irradiance harmonics, see ``shading``. None: the texture is shown as it is.
        gloss: per vertex roughness and reflectance (``gloss_of``); None: no highlights.
        openness: per vertex fraction of the light that arrives, 0..1; None: all of it.
        antialias: the silhouette is sampled ``antialias``² times a pixel.
        colour_space: of the rendering.

    A pixel whose samples lie on one smooth piece of surface is shaded once, in its middle, with a sharp
    (Catmull-Rom) lookup; others at every covered sample. Samples are averaged in linear colour under light,
    in the texture's space without. ``rgb`` is the mean over covered samples only (straight alpha).
    """
    pyramid = texture if isinstance(texture, Pyramid) else Pyramid.make(texture)
    scene = TexturedScene(
        vertices=vertices,
        faces=faces,
        normals=normals,
        uv=uv,
        faces_uv=faces_uv,
        pyramid=pyramid,
        camera=camera,
        light=light,
        gloss=gloss,
        openness=openness,
        texture_space=texture_space,
        colour_space=colour_space,
        antialias=antialias,
        near=near,
    )
    inputs = [x for x in (vertices, normals, uv, light, gloss, pyramid.levels[0]) if x is not None]
    grad = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    if grad or any(is_cuda(x) for x in inputs):
        return render_textured_reference(scene)
    return shaded_numba.render(scene)
