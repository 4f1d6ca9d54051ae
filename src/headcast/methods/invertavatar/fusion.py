"""Take one more frame into an avatar's textures: registration, gain and weights, then its own texels.

This is the recursive form of the paper's temporal aggregation (Eq. 1) without anything learned: what a layer
keeps of all earlier frames is how well they showed each texel; the update gate z follows from that and from
how well the new frame shows it. Operators (weights, flow, logarithm of the gain) are computed on coarse
texels; colours are the photo's own, at the texture's full size, so that sharpness is never averaged away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from headcast.avatar.lids import Patch
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.surface import Posed
from headcast.camera import project_points
from headcast.head.model import JOINTS
from headcast.image import linear_to_srgb, sample_bilinear, sample_lanczos, srgb_table
from headcast.interpolation import smoothstep
from headcast.methods.invertavatar.layers import HAIR, SIDE, TEXELS, TextureLayer, layers_of
from headcast.methods.invertavatar.state import FusionState
from headcast.observe.recursive import ShapeEvidence
from headcast.observe.types import Observation
from headcast.render.geometry import visibility
from headcast.render.mesh import rasterize_mesh
from headcast.texture.delight import shading_at, soften_light
from headcast.texture.masks import feather
from headcast.texture.registration import SkinTexture, dense_flow, reduce_observation, register_photo
from headcast.texture.texels import Texels, interpolate_attributes
from headcast.texture.unproject import unproject

__all__ = ["FrameUpdate", "Operators", "first_state", "fuse_frame", "measure_frame", "register_frame"]

EXPONENT = 6.0  # by which the better view of a texel wins: near 1 averages, infinity selects
FLOOR = 0.1  # weight from which an observed texel replaces a guessed one
SKIN_FACING, HAIR_FACING = (0.1, 0.4), (0.1, 0.45)  # cosines to the camera from which texels count, and fully
MATTE = (0.6, 0.95)
LABEL = (0.5, 0.9)
GLASSES = (0.1, 0.5)
FEATHER_TEXELS = 6.0  # of a 1024 texture, over which a frame's part of the texture fades out
GAIN_TEXELS = 20.0  # of ``SIDE``: detail below this scale is the frame's own, tone above it the avatar's
GAIN_PRIOR = 0.02  # weight of the frame's one gain beside the texels in common
MAX_GAIN = 1.2  # of the natural logarithm, of a frame as a whole
MAX_LOCAL_GAIN = 0.35  # of the natural logarithm, beside it: hair before skin is no gain
MAX_GUESS = 0.7  # of the natural logarithm, by which a guess is corrected
GLASSES_FRACTION = 0.01  # of the face's box, from which a frame shows glasses
GLASSES_ZONE_M = (0.035, 0.045)  # above and below the eyes: outside of it glasses are not painted
OUTLIER = 0.35  # of the natural logarithm of luminance: what differs by more counts half
OUTLIER_TEXELS = 3.0  # of ``SIDE``, over which a difference is averaged
GUESS_TEXELS, GUESS_PRIOR = 40.0, 0.01  # of ``SIDE``; weight: how far corrections of guesses reach
KNOWN = 0.3  # weight of earlier frames from which they can contradict a new one
FLOW_BLUR = 5.0  # pixels of the reduced image
FLOW_PRIOR = 0.05
MAX_FLOW = 6.0  # pixels of the reduced image
LOCAL = 0.12  # of the image's height: the neighbourhood whose mean and contrast are removed before comparing
USUAL_SHARPNESS = 1000.0  # pixels along a metre, where a first frame shows nothing
EPS = 2e-3  # linear light, added before the logarithm
MIN_ALPHA = 0.02  # below which a texel is not changed
MIN_GUESS = 0.01  # logarithm, below which a guess is not corrected
MIN_COMMON = 300  # pixels or texels that must be in common to compare


class FrameUpdate(NamedTuple):
    """An avatar's mesh and state after a frame, and how much of its textures changed (0..1)."""

    mesh: MeshAvatar
    state: FusionState
    changed: float


@dataclass(frozen=True)
class FrameFlow:
    """Displacement in the photo, pixels, from where the posed avatar lies to where the photo shows it.

    Attributes:
        field: (h, w, 2) of the reduced image, in its pixels. scale: reduced pixels per pixel of the photo.
    """

    field: Float[np.ndarray, "h w 2"]
    scale: float

    def move(self, pixel: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Return where the photo shows what projects to these pixels."""
        return pixel + sample_bilinear(self.field, (pixel * self.scale).astype(np.float32)) / self.scale


@dataclass(frozen=True)
class Operators:
    """What a frame does to one layer, on its n coarse texels.

    Attributes:
        weight: how well the frame shows a texel; 1 is the first frame's best.
        alpha: 0..1 fraction of the frame in the new texture (1 - z of Eq. 1 as printed).
        log_factor: (n, 3) logarithm of what turns the photo's linear colours into the avatar's albedo.
        difference: logarithm of luminance, smoothed, by which the frame differs from the texture.
        guess: (n, 3) logarithm of what guessed colours nearby turned out to be wrong by.
    """

    weight: Float[np.ndarray, "n"]
    alpha: Float[np.ndarray, "n"]
    log_factor: Float[np.ndarray, "n 3"]
    difference: Float[np.ndarray, "n"]
    guess: Float[np.ndarray, "n 3"]


def fuse_frame(
    mesh: MeshAvatar, state: FusionState, observation: Observation, flow: bool = True
) -> FrameUpdate:
    """Take a frame, already registered, into an avatar's textures."""
    posed = mesh.surface.posed(observation.params)
    layers = layers_of(mesh)
    displacement = frame_flow(mesh, layers, state, observation, posed) if flow else None
    out, changed = mesh, 0.0
    weights, spreads = dict(state.weights), dict(state.spreads)
    for layer in layers:
        if layer.name not in state.weights:
            continue
        known = state.weights[layer.name]
        found = operators(layer, posed, mesh, state, observation, displacement)
        texture = paint_layer(layer, posed, observation, found, displacement)
        out = with_texture(out, layer.name, texture)
        weights[layer.name], spreads[layer.name] = remember(known, state.spreads[layer.name], found)
        if layer.name != HAIR:
            changed = float(found.alpha.mean())
    return FrameUpdate(out, replace(state, weights=weights, spreads=spreads), changed)


def first_state(mesh: MeshAvatar, observations: Sequence[Observation], shape: ShapeEvidence) -> FusionState:
    """Return what an avatar remembers of the frames that it was made of."""
    layers = layers_of(mesh)
    seen = []
    for observation in observations:
        posed = mesh.surface.posed(observation.params)
        seen.append([measure_frame(layer, posed, mesh, observation) for layer in layers])
    sharp = np.concatenate([x.sharpness[x.confidence > 0.5] for x in seen[0]])
    unit = np.float32(np.quantile(sharp, 0.99)) if len(sharp) else np.float32(USUAL_SHARPNESS)
    weights = {}
    for k, layer in enumerate(layers):
        each = np.stack([x[k].confidence * x[k].sharpness / unit for x in seen])
        weights[layer.name] = ((each**EXPONENT).sum(0) ** (1 / EXPONENT)).astype(np.float32)
    spreads = {k: np.zeros_like(x) for k, x in weights.items()}
    return FusionState(weights=weights, spreads=spreads, sharpness=float(unit), shape=shape)


def register_frame(mesh: MeshAvatar, state: FusionState, observation: Observation) -> Observation:
    """Return the frame with the pose in which its skin agrees with the avatar's."""
    layer = layers_of(mesh)[0]
    value = np.log(layer.albedo.mean(1) + EPS).astype(np.float32)
    weight = (state.weights[layer.name] > KNOWN).astype(np.float32)
    skin = SkinTexture(value, weight)
    return register_photo(observation, skin, mesh.head, TEXELS.get(mesh.head, SIDE))


class FrameTexels(NamedTuple):
    """A frame on a layer's coarse texels: de-lit logarithm of colour, logarithm of shading, confidence 0..1
    and pixels along a metre of the surface."""

    log_albedo: Float[np.ndarray, "n 3"]
    log_shading: Float[np.ndarray, "n 3"]
    confidence: Float[np.ndarray, "n"]
    sharpness: Float[np.ndarray, "n"]


def measure_frame(
    layer: TextureLayer,
    posed: Posed,
    mesh: MeshAvatar,
    observation: Observation,
    flow: FrameFlow | None = None,
) -> FrameTexels:
    """Unproject a frame onto a layer: colours without their light, and how well each texel is visible."""
    camera = observation.camera
    points, normal = layer.points(posed, layer.coarse), layer.normals(posed, layer.coarse)
    to_camera = camera.center.numpy() - points
    to_camera /= np.maximum(np.linalg.norm(to_camera, axis=1, keepdims=True), 1e-9)
    facing = (normal * to_camera).sum(1)
    pixel, depth = project_points(points, camera)
    if layer.name == HAIR:
        confidence = hair_confidence(layer, posed, mesh, observation, points, pixel, facing)
    else:
        confidence = skin_confidence(layer, mesh, observation)
    moved = pixel if flow is None else flow.move(pixel)
    colour = srgb_table()[sample_lanczos(observation.image, moved.astype(np.float32))]
    shading = shading_at(normal, soften_light(observation.light)) * layer.openness(posed)[:, None]
    log_shading = np.log(np.maximum(shading, 1e-3))
    sharpness = facing.clip(0) * float(camera.K[0, 0]) / np.maximum(depth, 1e-6)
    return FrameTexels(
        (np.log(colour + EPS) - log_shading).astype(np.float32),
        log_shading.astype(np.float32),
        confidence.astype(np.float32),
        sharpness.astype(np.float32),
    )


def skin_confidence(
    layer: TextureLayer, mesh: MeshAvatar, observation: Observation
) -> Float[np.ndarray, "n"]:
    """Return 0..1: visible skin (or hair on the scalp), not at a grazing angle, off rims and glasses."""
    s = unproject(observation, mesh.head, layer.coarse)
    label = np.maximum(s.skin, s.hair * layer.scalp)
    confidence = s.visible * smoothstep(s.facing, *SKIN_FACING) * smoothstep(s.person, *MATTE)
    confidence = confidence * smoothstep(label, *LABEL) * (1 - smoothstep(s.glasses, *GLASSES))
    return feather(confidence.astype(np.float32), layer.coarse, FEATHER_TEXELS)


def wears_glasses(observation: Observation) -> bool:
    """Whether the frame shows glasses."""
    if observation.masks is None:
        return False
    x0, y0, x1, y1 = (max(0, int(v)) for v in observation.detection.box)
    inside = observation.masks.glasses[y0:y1, x0:x1]
    return bool(inside.size) and float((inside > 0.5).mean()) > GLASSES_FRACTION


def glasses_zone(layer: TextureLayer, mesh: MeshAvatar) -> Float[np.ndarray, "n"]:
    """Return 0..1, where glasses are painted onto the face: they stand off it, so that each view shows them
    elsewhere, and those of the first frame stay whole."""
    identity = mesh.source.params.identity
    joints = mesh.head.joints(identity)
    eyes = (joints[JOINTS.index("eyeLeft")] + joints[JOINTS.index("eyeRight")]) / 2
    height = interpolate_attributes(mesh.head.shape(identity).numpy(), layer.faces, layer.coarse)[:, 1]
    return 1 - smoothstep(np.abs(height - float(eyes[1])), *GLASSES_ZONE_M)


def hair_confidence(
    layer: TextureLayer,
    posed: Posed,
    mesh: MeshAvatar,
    observation: Observation,
    points: Float[np.ndarray, "n 3"],
    pixel: Float[np.ndarray, "n 2"],
    facing: Float[np.ndarray, "n"],
) -> Float[np.ndarray, "n"]:
    """Return 0..1: visible hair, not at a grazing angle."""
    masks, camera = observation.masks, observation.camera
    if masks is None:
        return np.zeros(len(points), np.float32)
    small = camera.scaled(min(1.0, 768 / max(camera.width, camera.height)))
    visible = visibility(
        torch.from_numpy(points), small, posed.vertices, mesh.surface.faces, tolerance=0.005
    ).numpy()
    both = np.stack([masks.hair, masks.person], -1).astype(np.float32)
    hair, person = sample_bilinear(both, pixel.astype(np.float32)).T
    seen = visible * smoothstep(facing, *HAIR_FACING) * smoothstep(person, *MATTE)
    return (seen * smoothstep(hair, *LABEL)).astype(np.float32)


def operators(
    layer: TextureLayer,
    posed: Posed,
    mesh: MeshAvatar,
    state: FusionState,
    observation: Observation,
    flow: FrameFlow | None,
) -> Operators:
    """Compute what a frame does to a layer, against what earlier frames say of it."""
    frame = measure_frame(layer, posed, mesh, observation, flow)
    weight = frame.confidence * frame.sharpness / state.sharpness
    if layer.name != HAIR and wears_glasses(observation):
        weight = weight * (1 - glasses_zone(layer, mesh))
    known = state.weights[layer.name]
    current = np.log(layer.albedo + EPS)
    gain = log_gain(layer, current - frame.log_albedo, frame.confidence * (np.minimum(known, 1) + GAIN_PRIOR))
    off = (current - frame.log_albedo - gain).mean(1)
    difference = smooth_texels(layer, np.abs(off), frame.confidence, OUTLIER_TEXELS)
    fits = 1 / (1 + (difference / OUTLIER) ** 2) ** 2
    trusted = np.where(known > KNOWN, fits, 1.0)
    own = (weight * trusted) ** EXPONENT
    alpha = own / (known**EXPONENT + own + FLOOR**EXPONENT) * layer.changeable
    return Operators(
        weight=(weight * trusted).astype(np.float32),
        alpha=alpha.astype(np.float32),
        log_factor=(gain - frame.log_shading).astype(np.float32),
        difference=difference.astype(np.float32),
        guess=guess_correction(layer, frame.log_albedo + gain - current, alpha, known),
    )


def guess_correction(
    layer: TextureLayer,
    change: Float[np.ndarray, "n 3"],
    alpha: Float[np.ndarray, "n"],
    known: Float[np.ndarray, "n"],
) -> Float[np.ndarray, "n 3"]:
    """Return how colours that no frame has shown follow those nearby that one now shows, 0 elsewhere.

    Where a frame replaces a guess it says by what the guess was wrong; guesses around it were made alike.
    """
    import cv2

    weight = alpha * (1 - smoothstep(known, 0.0, KNOWN))
    off = change.clip(-MAX_GUESS, MAX_GUESS) * weight[:, None]
    image = layer.coarse.to_image(np.concatenate([off, weight[:, None]], 1).astype(np.float32))
    smooth = layer.coarse.from_image(cv2.GaussianBlur(image, (0, 0), GUESS_TEXELS))
    near = smooth[:, :3] / (smooth[:, 3:] + GUESS_PRIOR)
    open_weight = (1 - smoothstep(np.maximum(known, alpha), 0.0, KNOWN)) * layer.changeable
    return (near * open_weight[:, None]).astype(np.float32)


def log_gain(
    layer: TextureLayer, difference: Float[np.ndarray, "n 3"], weight: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n 3"]:
    """Return the smooth logarithm of the gain that brings a frame to the avatar's tone."""
    import cv2

    common = weight > 0.2
    one = np.median(difference[common], 0) if common.sum() > MIN_COMMON else np.zeros(3)
    one = one.clip(-MAX_GAIN, MAX_GAIN).astype(np.float32)
    off = (difference - one).clip(-MAX_LOCAL_GAIN, MAX_LOCAL_GAIN)
    layers = layer.coarse.to_image(np.concatenate([off * weight[:, None], weight[:, None]], 1))
    smooth = layer.coarse.from_image(cv2.GaussianBlur(layers, (0, 0), GAIN_TEXELS))
    return one + smooth[:, :3] / (smooth[:, 3:] + GAIN_PRIOR)


def smooth_texels(
    layer: TextureLayer, values: Float[np.ndarray, "n"], weight: Float[np.ndarray, "n"], sigma: float
) -> Float[np.ndarray, "n"]:
    """Average values over neighbouring texels, by their weights."""
    import cv2

    both = layer.coarse.to_image(np.stack([values * weight, weight], 1).astype(np.float32))
    smooth = layer.coarse.from_image(cv2.GaussianBlur(both, (0, 0), sigma))
    return smooth[:, 0] / np.maximum(smooth[:, 1], 1e-3)


def remember(
    known: Float[np.ndarray, "n"], spread: Float[np.ndarray, "n"], found: Operators
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Return the weight and the spread of the frames so far with one more."""
    total = (known**EXPONENT + found.weight**EXPONENT) ** (1 / EXPONENT)
    share = found.weight / np.maximum(known + found.weight, 1e-6) * (known > KNOWN)
    return total.astype(np.float32), (spread + share * (found.difference - spread)).astype(np.float32)


def paint_layer(
    layer: TextureLayer, posed: Posed, observation: Observation, found: Operators, flow: FrameFlow | None
) -> UInt8[np.ndarray, "h w c"]:
    """Return the layer's texture with the frame's own texels at full size where the frame wins."""
    fine, at = full_texels(layer)
    fields = np.concatenate([found.alpha[:, None], found.log_factor, found.guess], 1)
    fields = upsample_fields(layer, fields)[at]
    chosen = np.flatnonzero((fields[:, 0] > MIN_ALPHA) | (np.abs(fields[:, 4:]).max(1) > MIN_GUESS))
    some, fields = fine.subset(chosen), fields[chosen]
    pixel, _ = project_points(layer.points(posed, some), observation.camera)
    if flow is not None:
        pixel = flow.move(pixel)
    colour = srgb_table()[sample_lanczos(observation.image, pixel.astype(np.float32))]
    out = layer.texture.reshape(-1, layer.texture.shape[2]).copy()
    old = to_display(srgb_table()[out[at[chosen], :3]] * np.exp(fields[:, 4:]))
    new = to_display(colour * np.exp(fields[:, 1:4]))
    out[at[chosen], :3] = np.round(old + fields[:, :1] * (new - old)).astype(np.uint8)
    if len(fine.gutter):
        out[fine.gutter, :3] = out[fine.index[fine.nearest], :3]
    return out.reshape(layer.texture.shape)


def full_texels(layer: TextureLayer) -> tuple[Texels, Int[np.ndarray, "n"]]:
    """Return the layer's texels at its texture's full size, and the position of each in it."""
    height, width = layer.texture.shape[:2]
    fine = layer.texels(max(width, height))
    row, column = np.divmod(fine.index, fine.size)
    at = (row * height // fine.size) * width + column * width // fine.size
    if height == width:
        return fine, at
    one_each = np.unique(at, return_index=True)[1]  # rows of the square that fall into one row of the texture
    return fine.subset(one_each), at[one_each]


def upsample_fields(layer: TextureLayer, values: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "t c"]:
    """Interpolate fields on coarse texels at every texel of the texture, row by row."""
    import cv2

    height, width = layer.texture.shape[:2]
    image = layer.coarse.to_image(values)
    large = [
        cv2.resize(np.ascontiguousarray(image[..., k]), (width, height), interpolation=cv2.INTER_LINEAR)
        for k in range(image.shape[2])
    ]
    return np.stack([x.reshape(-1) for x in large], 1)


def to_display(linear: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Return display values 0 to 255 of linear colours."""
    return linear_to_srgb(linear.clip(0, 1).astype(np.float32)) * 255


def with_texture(mesh: MeshAvatar, name: str, texture: UInt8[np.ndarray, "h w c"]) -> MeshAvatar:
    """Return the mesh with a layer's texture; closed lids follow where they had the same texels."""
    if name == HAIR:
        shells = tuple(replace(s, texture=texture) if s.name == HAIR else s for s in mesh.shells)
        return replace(mesh, shells=shells)
    lids = mesh.lids
    if lids is not None:
        left, right = (follow(p, mesh.texture, texture) for p in lids.patches)
        lids = replace(lids, patches=(left, right))
    return replace(mesh, texture=texture, lids=lids)


def follow(patch: Patch, before: UInt8[np.ndarray, "h w 3"], after: UInt8[np.ndarray, "h w 3"]) -> Patch:
    """Return a patch of closed lids that changes where it had the texture's own texels."""
    same = (patch.texture == patch.inside(before)).all(-1, keepdims=True)
    return replace(patch, texture=np.where(same, patch.inside(after), patch.texture))


def frame_flow(
    mesh: MeshAvatar, layers: list[TextureLayer], state: FusionState, observation: Observation, posed: Posed
) -> FrameFlow | None:
    """Find how the photo is displaced against the posed avatar; None: too little in common."""
    import cv2

    small = reduce_observation(observation)
    scale = small.camera.width / observation.camera.width
    rendered, known = render_known(mesh, layers, state, small, posed)
    if known.sum() < MIN_COMMON:
        return None
    photo = np.log(srgb_table()[small.image].mean(2) + EPS)
    height = float(np.ptp(np.nonzero(known.any(1))[0])) + 1
    forward, consistent = dense_flow(rendered, photo, known, LOCAL * height)
    use = (known & consistent).astype(np.float32)
    field = forward * use[..., None]
    total = cv2.GaussianBlur(use, (0, 0), FLOW_BLUR) + FLOW_PRIOR
    field = cv2.GaussianBlur(field, (0, 0), FLOW_BLUR) / total[..., None]
    length = np.linalg.norm(field, axis=2, keepdims=True)
    field *= np.minimum(1, MAX_FLOW / np.maximum(length, 1e-6))
    return FrameFlow(field.astype(np.float32), scale)


def render_known(
    mesh: MeshAvatar, layers: list[TextureLayer], state: FusionState, observation: Observation, posed: Posed
) -> tuple[Float[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Render the logarithm of the avatar's luminance in a frame's view; also return where it was observed."""
    surface = mesh.surface
    found = rasterize_mesh(posed.vertices, surface.faces, observation.camera)
    triangle, bary = found.triangle.numpy(), found.barycentric.detach().numpy()
    value, known = np.zeros(triangle.shape, np.float32), np.zeros(triangle.shape, bool)
    part = surface.part.numpy()
    where = np.where(triangle >= 0, part[np.maximum(triangle, 0)], -2)
    starts = np.cumsum([0, len(mesh.head.faces), *(len(s.faces) for s in mesh.shells)])
    for layer in layers:
        if layer.name not in state.weights:
            continue
        index = -1 if layer.name != HAIR else next(i for i, s in enumerate(mesh.shells) if s.name == HAIR)
        row, column = np.nonzero(where == index)
        own = triangle[row, column] - starts[index + 1]
        uv = (layer.uv.numpy()[layer.faces_uv.numpy()[own]] * bary[row, column][..., None]).sum(1)
        seen = (state.weights[layer.name] > KNOWN).astype(np.float32)
        log = np.log(layer.albedo.mean(1) + EPS)
        image = layer.coarse.to_image(np.stack([log * seen, seen], 1).astype(np.float32))
        sampled = sample_bilinear(image, (uv * SIDE).astype(np.float32))
        value[row, column] = sampled[:, 0] / np.maximum(sampled[:, 1], 1e-3)
        known[row, column] = sampled[:, 1] > 0.9
    return value, known
