"""Gaussians bound to triangles (GaussianAvatars; SuperHead Eq. 3 and 8).

A triangle's frame has its origin T at the centroid, the axes R = (edge v0→v1, normal, edge × normal) and
the size s = mean of the edge's length and the height of v2 above it. Eq. 3 takes a Gaussian that is stored in
this frame (position mu, quaternion r, scale S) to the world:

    T + s R mu,    R ⊗ r,    s S

(Eq. 8, the inverse, prints S' = S⁻¹ / s; the inverse of Eq. 3 is S / s.) A similarity of the triangle is all
that Eq. 3 knows: a lid that closes stretches its triangles along one axis, and gaps open between Gaussians.
So the position and the reach along each of the Gaussian's axes also follow the triangle's stretch in its own
plane, as against its shape at rest; where the triangle keeps its shape this is Eq. 3 to the letter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.rotation import matrix_to_quaternion, quaternion_multiply, quaternion_to_matrix

__all__ = ["Frames", "Gaussians", "frames_of", "placement", "to_local", "to_world"]

TINY = 1e-9  # metres, below which a triangle's edge or height is taken as this
MAX_STRETCH = 8.0  # factor on a Gaussian's extent along an axis
TURNED = (-0.35, -0.1)  # cosines to the viewer between which a Gaussian on a surface fades out


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians, in the frames of their triangles or in the world.

    Attributes:
        triangle: index of the triangle each is bound to.
        position, quaternion (wxyz, any length), log_scale: in units of the triangle's size, or metres.
        opacity: logits.
        albedo: (N, 3) sRGB display values; shading is applied when they are rendered.
    """

    triangle: Int[Tensor, "n"]
    position: Float[Tensor, "n 3"]
    quaternion: Float[Tensor, "n 4"]
    log_scale: Float[Tensor, "n 3"]
    opacity: Float[Tensor, "n"]
    albedo: Float[Tensor, "n 3"]

    def __len__(self) -> int:
        return len(self.triangle)

    def __getitem__(self, index: Tensor | slice) -> Gaussians:
        return Gaussians(*(getattr(self, k)[index] for k in self.__dataclass_fields__))

    @staticmethod
    def join(parts: list[Gaussians]) -> Gaussians:
        """Concatenate several sets into one."""
        return Gaussians(*(torch.cat([getattr(p, k) for p in parts]) for k in Gaussians.__dataclass_fields__))


@dataclass(frozen=True)
class Frames:
    """Frames of F triangles: ``origin`` (F, 3) and ``rotation`` (F, 3, 3, axes in columns) in the vertices'
    frame, ``size`` (F,), and ``shape`` (F, 3): length of v0→v1, how far along it v2 lies, and how high."""

    origin: Float[Tensor, "f 3"]
    rotation: Float[Tensor, "f 3 3"]
    size: Float[Tensor, "f"]
    shape: Float[Tensor, "f 3"]

    def stretch_from(self, rest: Frames) -> Float[Tensor, "f 3"]:
        """Compute the triangles' deformation in their own plane since ``rest``, sizes divided out.

        Entries xx, xz and zz of an upper triangular matrix; (1, 0, 1) for a similarity.
        """
        (length, along, height), (length0, along0, height0) = self.shape.unbind(-1), rest.shape.unbind(-1)
        xx, zz = length / length0, height / height0
        xz = (along - along0 * xx) / height0
        return torch.stack([xx, xz, zz], -1) * (rest.size / self.size)[:, None]


def frames_of(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Frames:
    """Compute the triangles' frames; degenerate triangles get an arbitrary frame, no NaN."""
    v0, v1, v2 = vertices[faces].unbind(1)
    edge, other = v1 - v0, v2 - v0
    length = edge.norm(dim=-1).clamp(min=TINY)
    x = edge / length[:, None]
    along = (other * x).sum(-1)
    up = other - along[:, None] * x
    height = up.norm(dim=-1).clamp(min=TINY)
    flat = height <= TINY
    z = -up / height[:, None]
    if bool(flat.any()):
        helper = torch.nn.functional.one_hot(x.abs().argmin(-1), 3).to(x)
        z = torch.where(flat[:, None], torch.nn.functional.normalize(torch.linalg.cross(x, helper)), z)
    y = torch.linalg.cross(z, x)
    size = (length + height) / 2
    return Frames(
        (v0 + v1 + v2) / 3, torch.stack([x, y, z], -1), size, torch.stack([length, along, height], -1)
    )


def placement(frames: Frames, rest: Frames | None = None) -> Float[Tensor, "f 3 3"]:
    """Return the matrices from positions in a triangle's frame to world offsets from its origin.

    They are s R of Eq. 3, after the stretch since ``rest`` where that is given.
    """
    scaled_rotation = frames.size[:, None, None] * frames.rotation
    if rest is None:
        return scaled_rotation
    xx, xz, zz = (c[:, None] for c in frames.stretch_from(rest).unbind(-1))
    x, y, z = scaled_rotation.unbind(-1)
    # the frame's z axis points away from v2, the shape's height towards it
    return torch.stack([xx * x, y, zz * z - xz * x], -1)


def to_world(
    local: Gaussians,
    frames: Frames,
    rest: Frames | None = None,
    quaternions: Float[Tensor, "f 4"] | None = None,
) -> Gaussians:
    """Apply Eq. 3, and the triangles' stretch since ``rest`` where it is given.

    Args:
        quaternions: of ``frames.rotation`` if already known.
    """
    t = local.triangle
    log_scale = local.log_scale + frames.size[t].clamp(min=TINY).log()[:, None]
    if rest is not None:
        xx, xz, zz = frames.stretch_from(rest)[t].unbind(-1)
        a, b, c = quaternion_to_matrix(local.quaternion).unbind(-2)  # rows: x, y, z of the three axes
        reach = (xx[:, None] * a - xz[:, None] * c) ** 2 + b**2 + (zz[:, None] * c) ** 2
        log_scale = log_scale + reach.clamp(MAX_STRETCH**-2, MAX_STRETCH**2).log() / 2
    world = frames.origin[t] + (placement(frames, rest)[t] @ local.position[..., None])[..., 0]
    q = matrix_to_quaternion(frames.rotation) if quaternions is None else quaternions
    rotated = quaternion_multiply(q[t], local.quaternion)
    return replace(local, position=world, quaternion=rotated, log_scale=log_scale)


def to_local(world: Gaussians, frames: Frames) -> Gaussians:
    """Apply Eq. 8: world Gaussians to the frames of their triangles."""
    t = world.triangle
    R, s = frames.rotation[t], frames.size[t].clamp(min=TINY)
    position = (R.transpose(-1, -2) @ (world.position - frames.origin[t])[..., None])[..., 0] / s[:, None]
    q = matrix_to_quaternion(frames.rotation)[t] * torch.tensor([1.0, -1, -1, -1]).to(R)
    return replace(
        world,
        position=position,
        quaternion=quaternion_multiply(q, world.quaternion),
        log_scale=world.log_scale - s.log()[:, None],
    )
