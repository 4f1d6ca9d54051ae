"""Register photos of one person: poses by what all photos show of the skin, not by landmarks alone.

Landmarks of a turned face are off by several pixels, and so are the poses fitted to them. Here the head's
texture, as the photos registered so far show it, is rendered in the next photo's pose; dense optical flow
between rendering and photo says by how much every point of the skin is displaced, and the pose follows.
Photos nearest in direction to those registered come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from headcast.camera import Camera, project_points
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.image import srgb_table
from headcast.interpolation import smoothstep
from headcast.observe.types import Observation
from headcast.render.mesh import rasterize_mesh
from headcast.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from headcast.texture.texels import Texels, texels_of
from headcast.texture.unproject import unproject

__all__ = ["SkinTexture", "register_photos"]

TEXTURE_SIDE = 512  # texels
FACE_PIXELS = 320.0  # height of the face in the images that are compared; smaller faces stay as they are
ROUNDS = 3  # of rendering, flow and pose for every photo
FACING = (0.3, 0.6)  # cosines to the camera from which skin is compared, and fully
LOCAL = 0.12  # of the face's height: the neighbourhood whose mean and contrast are removed before comparing
CONTRAST_FLOOR = 0.02  # natural logarithm, added to the local contrast: noise stays small
GREY_LEVELS = 40.0  # of 8 bits for one local standard deviation
CONSISTENT_PIXELS = 1.0  # between flow forwards and back, above which a point is left out
OUTLIER_PIXELS = 1.5  # scale of the Cauchy weight
EVIDENCE = 60.0  # independent points that all points of a photo count as; flow errors are correlated
ROTATION_PRIOR, TRANSLATION_PRIOR = 0.15, 0.05  # radians, metres: of poses by landmarks
MIN_POINTS = 300  # pixels in common with what is known, for a photo to be registered
MAX_POINTS = 4000  # that the pose is fitted to
MAX_TURN = np.radians(8.0)  # by which a pose may change
EPS = 2e-3  # linear light, added before the logarithm


@dataclass(frozen=True)
class SkinTexture:
    """Logarithm of the skin's luminance at n texels, as the photos registered so far show it.

    Attributes:
        value: (n,) weighted mean. weight: (n,) sum of weights; 0: not seen yet.
    """

    value: Float[np.ndarray, "n"]
    weight: Float[np.ndarray, "n"]

    @staticmethod
    def empty(texels: Texels) -> SkinTexture:
        """Return a texture of which nothing has been seen."""
        return SkinTexture(*np.zeros((2, len(texels.index)), np.float32))

    def add(self, observation: Observation, head: HeadModel, texels: Texels) -> SkinTexture:
        """Return the texture after one more photo, brought to the brightness of what is known."""
        samples = unproject(observation, head, texels)
        new = np.log(samples.colour.mean(1) + EPS)
        weight = samples.visible * samples.skin * smoothstep(samples.facing, *FACING)
        both = (weight > 0.2) & (self.weight > 0.2)
        if both.any():
            new = new - np.median(new[both] - self.value[both])
        total = self.weight + weight
        mean = (self.weight * self.value + weight * new) / np.maximum(total, 1e-6)
        return SkinTexture(mean.astype(np.float32), total.astype(np.float32))


@dataclass(frozen=True)
class SurfaceFlow:
    """Points on the head and where a photo shows them.

    Attributes:
        triangle, bary: on the head's surface. pixel: (n, 2) in the photo, pixel centres at +0.5.
    """

    triangle: Int[np.ndarray, "n"]
    bary: Float[np.ndarray, "n 3"]
    pixel: Float[np.ndarray, "n 2"]


def register_photos(observations: Sequence[Observation], head: HeadModel) -> list[Observation]:
    """Return the observations with poses that agree on the skin; the first photo's pose is kept.

    A photo that has too little in common with the others, or whose pose would have to change by more than
    ``MAX_TURN``, is kept as it is.

    Args:
        head: bound to the person or not: shape and expressions are those of the observations' parameters.
    """
    out = list(observations)
    if len(out) < 2:
        return out
    texels = texels_of(head, TEXTURE_SIDE)
    skin = SkinTexture.empty(texels).add(out[0], head, texels)
    done, left = [0], list(range(1, len(out)))
    while left:
        k = min(left, key=lambda i: min(turn_between(out[i].params, out[j].params) for j in done))
        out[k] = register_photo(out[k], skin, head, texels)
        skin = skin.add(out[k], head, texels)
        left.remove(k)
        done.append(k)
    return out


def turn_between(a: HeadParams, b: HeadParams) -> float:
    """Return the angle between two poses, radians."""
    R = axis_angle_to_matrix(a.rotation) @ axis_angle_to_matrix(b.rotation).T
    return float(torch.arccos(((torch.trace(R) - 1) / 2).clamp(-1, 1)))


def register_photo(
    observation: Observation, skin: SkinTexture, head: HeadModel, texels: Texels
) -> Observation:
    """Return the observation with the pose in which the photo agrees with a texture."""
    small = reduce_observation(observation)
    params = observation.params
    for _ in range(ROUNDS):
        flow = surface_flow(replace(small, params=params), skin, head, texels)
        if flow is None:
            return observation
        params = fit_pose(params, observation.params, flow, small.camera, head)
    if turn_between(params, observation.params) > MAX_TURN:
        return observation
    return replace(observation, params=params)


def reduce_observation(observation: Observation) -> Observation:
    """Reduce a photo whose face is larger than ``FACE_PIXELS``: image, camera and the mask of skin alone."""
    import cv2

    scale = FACE_PIXELS / float(np.ptp(observation.detection.points[:, 1]))
    if scale >= 1:
        return observation
    camera = observation.camera.scaled(scale)
    size = (camera.width, camera.height)
    masks = observation.masks
    if masks is not None:
        masks = replace(masks, skin=cv2.resize(masks.skin, size, interpolation=cv2.INTER_AREA))
    image = cv2.resize(observation.image, size, interpolation=cv2.INTER_AREA)
    return replace(observation, image=image, camera=camera, masks=masks)


def surface_flow(
    observation: Observation, skin: SkinTexture, head: HeadModel, texels: Texels
) -> SurfaceFlow | None:
    """Return where the photo shows points of the skin; None: too little in common."""
    camera = observation.camera
    vertices = head(observation.params)
    found = rasterize_mesh(vertices, head.faces, camera)
    triangle, bary = found.triangle.numpy(), found.barycentric.detach().numpy()
    rendered, known = _render_skin(triangle, bary, skin, head, texels)
    known &= _facing_cosine(vertices, head, triangle, camera) > FACING[0]
    if observation.masks is not None:
        known &= observation.masks.skin > 0.5
    if known.sum() < MIN_POINTS:
        return None
    height = float(np.ptp(np.nonzero(triangle >= 0)[0])) + 1
    photo = np.log(srgb_table()[observation.image].mean(2) + EPS)
    forward, consistent = dense_flow(rendered, photo, known, LOCAL * height)
    row, column = np.nonzero(known & consistent)
    if len(row) < MIN_POINTS:
        return None
    step = -(-len(row) // MAX_POINTS)
    row, column = row[::step], column[::step]
    pixel = np.stack([column, row], 1) + 0.5 + forward[row, column]
    return SurfaceFlow(triangle[row, column], bary[row, column], pixel)


def _render_skin(
    triangle: Int[np.ndarray, "h w"],
    bary: Float[np.ndarray, "h w 3"],
    skin: SkinTexture,
    head: HeadModel,
    texels: Texels,
) -> tuple[Float[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Render the texture; also return where it is known."""
    import cv2

    uv = head.uv.numpy()[head.faces_uv.numpy()[np.maximum(triangle, 0)]]
    at = ((uv * bary[..., None]).sum(2) * texels.size - 0.5).astype(np.float32)
    layers = texels.to_image(
        np.stack([skin.value * (skin.weight > 0), skin.weight > 0], 1).astype(np.float32)
    )
    sampled = cv2.remap(layers, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
    known = (triangle >= 0) & (sampled[..., 1] > 0.9)
    return sampled[..., 0] / np.maximum(sampled[..., 1], 1e-3), known


def _facing_cosine(
    vertices: torch.Tensor, head: HeadModel, triangle: Int[np.ndarray, "h w"], camera: Camera
) -> Float[np.ndarray, "h w"]:
    """Return cosines between the triangles' normals and the direction to the camera; 0 off the head."""
    corner = vertices[head.faces]
    normal = torch.linalg.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    to_camera = camera.center - corner.mean(1)
    cosine = torch.nn.functional.cosine_similarity(normal, to_camera, dim=1).numpy()
    return np.where(triangle >= 0, cosine[np.maximum(triangle, 0)], 0)


def dense_flow(
    rendered: Float[np.ndarray, "h w"],
    photo: Float[np.ndarray, "h w"],
    known: Bool[np.ndarray, "h w"],
    neighbourhood: float,
) -> tuple[Float[np.ndarray, "h w 2"], Bool[np.ndarray, "h w"]]:
    """Return optical flow from rendering to photo, pixels, and where it agrees with the flow back."""
    import cv2

    where = known.astype(np.float32)
    seen = to_grey_bytes(normalize_locally(photo, np.ones_like(where), neighbourhood))
    drawn = to_grey_bytes(normalize_locally(rendered, where, neighbourhood))
    drawn = np.where(known, drawn, seen)
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    method.setFinestScale(0)
    forward = method.calc(drawn, seen, np.zeros((*seen.shape, 2), np.float32))
    back = method.calc(seen, drawn, np.zeros((*seen.shape, 2), np.float32))
    y, x = np.mgrid[: known.shape[0], : known.shape[1]].astype(np.float32)
    returned = cv2.remap(back, x + forward[..., 0], y + forward[..., 1], cv2.INTER_LINEAR)
    return forward, np.linalg.norm(forward + returned, axis=2) < CONSISTENT_PIXELS


def normalize_locally(
    image: Float[np.ndarray, "h w"], weight: Float[np.ndarray, "h w"], neighbourhood: float
) -> Float[np.ndarray, "h w"]:
    """Remove the local mean and divide by the local contrast, where ``weight`` is 1."""
    import cv2

    def blur(x: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
        return cv2.GaussianBlur(x, (0, 0), neighbourhood)

    total = np.maximum(blur(weight), 1e-3)
    difference = (image - blur(image * weight) / total) * weight
    contrast = np.sqrt(blur(difference**2) / total)
    return difference / (contrast + CONTRAST_FLOOR)


def to_grey_bytes(x: Float[np.ndarray, "h w"]) -> np.ndarray:
    """Scale normalized values to 8 bits."""
    return (128 + GREY_LEVELS * x).clip(0, 255).astype(np.uint8)


def fit_pose(
    params: HeadParams, by_landmarks: HeadParams, flow: SurfaceFlow, camera: Camera, head: HeadModel
) -> HeadParams:
    """Return the parameters after one Gauss-Newton step of the pose, held near the one by landmarks.

    Points are weighted by Cauchy's function of their distance, pixels.
    """
    points = (head(params)[head.faces[flow.triangle]].numpy() * flow.bary[..., None]).sum(1)
    residual = flow.pixel - project_points(points.astype(np.float32), camera)[0]
    J = pose_jacobian(points, params.translation.numpy(), camera)
    distance = np.linalg.norm(residual, axis=1)
    weight = 1 / (1 + (distance / OUTLIER_PIXELS) ** 2)
    weight *= EVIDENCE / len(weight)
    off = pose_offset(params, by_landmarks)
    prior = 1 / np.repeat([ROTATION_PRIOR, TRANSLATION_PRIOR], 3) ** 2
    A = np.einsum("nai,n,naj->ij", J, weight, J) + np.diag(prior)
    b = np.einsum("nai,n,na->i", J, weight, residual) - prior * off
    step = torch.from_numpy(np.linalg.solve(A, b)).float()
    rotation = axis_angle_to_matrix(step[:3]) @ axis_angle_to_matrix(params.rotation)
    return params.replace(rotation=matrix_to_axis_angle(rotation), translation=params.translation + step[3:])


def pose_offset(params: HeadParams, other: HeadParams) -> Float[np.ndarray, "6"]:
    """Return rotation (radians, world axes) and translation (metres) from another pose to this one."""
    turn = axis_angle_to_matrix(params.rotation) @ axis_angle_to_matrix(other.rotation).T
    return torch.cat([matrix_to_axis_angle(turn), params.translation - other.translation]).numpy()


def pose_jacobian(
    points: Float[np.ndarray, "n 3"], translation: Float[np.ndarray, "3"], camera: Camera
) -> Float[np.ndarray, "n 2 6"]:
    """Return derivatives of pixels by rotation about the head's origin (world axes) and translation."""
    world_to_camera = camera.cam_from_world.numpy()
    turned, shift = world_to_camera[:3, :3], world_to_camera[:3, 3]
    x, y, z = (points @ turned.T + shift).T
    fx, fy = float(camera.K[0, 0]), float(camera.K[1, 1])
    zero = np.zeros_like(x)
    by_camera = np.stack(
        [np.stack([fx / z, zero, -fx * x / z**2], 1), np.stack([zero, fy / z, -fy * y / z**2], 1)], 1
    )
    by_point = by_camera @ turned
    a, b, c = (points - translation).T
    cross = np.stack([np.stack([zero, c, -b], 1), np.stack([-c, zero, a], 1), np.stack([b, -a, zero], 1)], 1)
    return np.concatenate([by_point @ cross, by_point], 2)
