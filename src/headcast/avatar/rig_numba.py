"""One frame of the rig on a CPU: cull, place and shade the Gaussians in one pass.

``rig`` and ``gaussian.render_lit_gaussians`` define what is computed; this is the same, triangle by triangle,
for those Gaussians that a camera can see. The others are never placed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.avatar.rig import MAX_STRETCH, TINY, TURNED, Frames, Gaussians
from headcast.avatar.surface import Posed
from headcast.camera import Camera
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.render.gaussians_torch import MIN_ALPHA
from headcast.render.jit import helper, kernel, parallel
from headcast.render.shading import SH_CONSTANTS

__all__ = ["Packed", "Shown"]

ROW = 16  # floats of a Gaussian: position, quaternion, log-scales, logit, linear albedo, two barycentrics
ALBEDO = slice(11, 14)
CHUNK = 4096  # Gaussians per task of a thread, about
STEPS = 1 << 11  # of the table of display values
NEAR = 0.01

Array = np.ndarray
ONE, TWO, ZERO, HALF = np.float32(1), np.float32(2), np.float32(0), np.float32(0.5)
LEAST, THIRD = np.float32(TINY), np.float32(1 / 3)
SHORT, LONG = np.float32(MAX_STRETCH**-2), np.float32(MAX_STRETCH**2)
GONE, WHOLE = np.float32(TURNED[0]), np.float32(TURNED[1])
MIN_VISIBLE, ALL, LEAST_FADE = np.float32(MIN_ALPHA), np.float32(0.9999), np.float32(1e-3)
TINIEST, INFINITE = np.float32(1e-12), np.float32(math.inf)
SIGMAS = np.float32(1.01 * math.sqrt(2 * math.log(1 / MIN_ALPHA)))
DILATED = np.float32(0.31)


@dataclass(frozen=True)
class Shown:
    """Potentially visible Gaussians, in the world and shaded: the input of ``render_gaussians``."""

    means: Float[Tensor, "n 3"]
    log_scales: Float[Tensor, "n 3"]
    quaternions: Float[Tensor, "n 4"]
    logits: Float[Tensor, "n"]
    colours: Float[Tensor, "n 3"]


@dataclass(frozen=True)
class Packed:
    """Gaussians sorted by triangle, in the layout of the kernel.

    Attributes:
        rows: (N, ``ROW``), a cache line each.
        first: (F + 1) where each triangle's Gaussians start.
        pieces: (P + 1) triangles at which the work is split between threads.
        place: (N,) the row of each Gaussian.
        faces: (F, 3). ``rest``: (F, 4) the triangles' shape and size at rest.
    """

    rows: Array
    place: Array
    first: Array
    pieces: Array
    faces: Array
    rest: Array

    @staticmethod
    def of(local: Gaussians, bary: Float[Tensor, "n 3"], faces: Tensor, rest: Frames) -> Packed:
        """Pack Gaussians in the frames of triangles; ``bary``: barycentrics of each over its triangle."""
        order = torch.argsort(local.triangle, stable=True)
        g, b = local[order], bary[order]
        unit = torch.nn.functional.normalize(g.quaternion, dim=-1)
        linear = srgb_to_linear(g.albedo.clamp(min=0))
        parts = [g.position, unit, g.log_scale, g.opacity[:, None], linear, b[:, :2]]
        first = torch.searchsorted(g.triangle.contiguous(), torch.arange(len(faces) + 1))
        starts = torch.arange(0, len(g) + CHUNK, CHUNK).clamp(max=len(g))
        pieces = torch.unique(torch.searchsorted(first, starts).clamp(max=len(faces)))
        shape = torch.cat([rest.shape, rest.size[:, None]], 1)
        return Packed(
            rows=torch.cat(parts, 1).float().contiguous().numpy(),
            place=torch.argsort(order).numpy(),
            first=first.int().numpy(),
            pieces=pieces.numpy(),
            faces=faces.int().contiguous().numpy(),
            rest=shape.float().contiguous().numpy(),
        )

    def with_albedo(self, index: Int[Tensor, "m"], albedo: Float[Tensor, "m 3"]) -> Packed:
        """Return a copy in which some Gaussians have another albedo (sRGB display values)."""
        rows = self.rows.copy()
        rows[self.place[index.numpy()], ALBEDO] = srgb_to_linear(albedo.clamp(min=0)).numpy()
        return replace(self, rows=rows)

    def shown(self, posed: Posed, camera: Camera, light: Float[Tensor, "9 3"]) -> Shown:
        """Return the posed and shaded Gaussians that ``camera`` may see; the others are culled."""
        n, count = len(self.rows), len(self.pieces) - 1
        out = [np.empty((n, k) if k > 1 else n, np.float32) for k in (3, 3, 4, 1, 3)]
        kept = np.zeros(count, np.int64)
        surface = [np.ascontiguousarray(x.numpy()) for x in (posed.vertices, posed.normals, posed.openness)]
        constants = torch.tensor(SH_CONSTANTS)[:, None]
        scene = (
            view_of(camera),
            np.ascontiguousarray((light.float().cpu() * constants).numpy()),
            display_table(),
        )

        def work(k: int) -> None:
            a, b = self.pieces[k], self.pieces[k + 1]
            kept[k] = show(a, b, *surface, self.faces, self.first, self.rows, self.rest, *scene, *out)

        parallel(work, count)
        starts = self.first[self.pieces[:-1]]
        parts = [slice(int(s), int(s + m)) for s, m in zip(starts, kept, strict=True)]
        return Shown(*(torch.from_numpy(np.concatenate([x[p] for p in parts])) for x in out))


def view_of(camera: Camera) -> Array:
    """Pack a camera: rotation (9), translation (3), focal lengths, centre (pixels), size, position."""
    pose, K = camera.cam_from_world.double().cpu(), camera.K.double().cpu()
    R, t = pose[:3, :3], pose[:3, 3]
    inner = [K[0, 0], K[1, 1], K[0, 2], K[1, 2], camera.width, camera.height]
    return np.array(
        [*R.flatten().tolist(), *t.tolist(), *map(float, inner), *(-R.T @ t).tolist()], np.float32
    )


def display_table() -> Array:
    """Tabulate display values of linear light at ``STEPS`` + 1 steps from 0 to 1, and once more 1."""
    global _table
    if _table is None:
        steps = linear_to_srgb(np.linspace(0, 1, STEPS + 1))
        _table = np.append(steps, 1.0).astype(np.float32)
    return _table


_table: Array | None = None


@helper
def display(x, values):
    """Convert linear light to a display value, interpolating a table."""
    at = min(max(x, ZERO), ONE) * np.float32(STEPS)
    k = int(at)
    return values[k] + (at - np.float32(k)) * (values[k + 1] - values[k])


@helper
def frame_of(v, i, j, k):
    """Compute a triangle's frame (``rig.frames_of``): axes x, y, z, then its length, along and height."""
    ex, ey, ez = v[j, 0] - v[i, 0], v[j, 1] - v[i, 1], v[j, 2] - v[i, 2]
    ox, oy, oz = v[k, 0] - v[i, 0], v[k, 1] - v[i, 1], v[k, 2] - v[i, 2]
    length = max(math.sqrt(ex * ex + ey * ey + ez * ez), LEAST)
    ex, ey, ez = ex / length, ey / length, ez / length
    along = ox * ex + oy * ey + oz * ez
    ux, uy, uz = ox - along * ex, oy - along * ey, oz - along * ez
    height = max(math.sqrt(ux * ux + uy * uy + uz * uz), LEAST)
    zx, zy, zz = -ux / height, -uy / height, -uz / height
    if height <= LEAST:
        least = min(abs(ex), abs(ey), abs(ez))
        if abs(ex) == least:
            zx, zy, zz = ZERO, ez, -ey
        elif abs(ey) == least:
            zx, zy, zz = -ez, ZERO, ex
        else:
            zx, zy, zz = ey, -ex, ZERO
        over = ONE / max(math.sqrt(zx * zx + zy * zy + zz * zz), TINIEST)
        zx, zy, zz = zx * over, zy * over, zz * over
    yx, yy, yz = zy * ez - zz * ey, zz * ex - zx * ez, zx * ey - zy * ex
    return ex, ey, ez, yx, yy, yz, zx, zy, zz, length, along, height


@helper
def quaternion_of(m00, m10, m20, m01, m11, m21, m02, m12, m22):
    """Compute the unit quaternion (wxyz) of a rotation matrix given by columns, largest component first."""
    ww, xx = ONE + m00 + m11 + m22, ONE + m00 - m11 - m22
    yy, zz = ONE - m00 + m11 - m22, ONE - m00 - m11 + m22
    most = max(ww, xx, yy, zz)
    if ww == most:
        w, x, y, z = ww, m21 - m12, m02 - m20, m10 - m01
    elif xx == most:
        w, x, y, z = m21 - m12, xx, m10 + m01, m02 + m20
    elif yy == most:
        w, x, y, z = m02 - m20, m10 + m01, yy, m21 + m12
    else:
        w, x, y, z = m10 - m01, m02 + m20, m21 + m12, zz
    over = ONE / math.sqrt(w * w + x * x + y * y + z * z)
    return w * over, x * over, y * over, z * over


@helper
def outside(px, py, pz, reach, view):
    """Whether a Gaussian lies behind the camera or off the image; ``reach``: its largest log-scale."""
    z = view[6] * px + view[7] * py + view[8] * pz + view[11]
    if not z > np.float32(NEAR):
        return True
    over = ONE / z
    x = (view[0] * px + view[1] * py + view[2] * pz + view[9]) * over
    y = (view[3] * px + view[4] * py + view[5] * pz + view[10]) * over
    u, v = view[12] * x + view[14], view[13] * y + view[15]
    width, height = view[16], view[17]
    if u >= ZERO and v >= ZERO and u <= width and v <= height:
        return False
    size = max(view[12], view[13]) * over * math.exp(reach)
    r = SIGMAS * math.sqrt(size * size * (ONE + x * x + y * y) + DILATED) + ONE
    return u < -r or v < -r or u > width + r or v > height + r


@helper
def shade_into(colours, at, nx, ny, nz, openness, rows, n, light, values):
    """Write the shaded colour of a Gaussian in display values."""
    xy, yz, xz = nx * ny, ny * nz, nx * nz
    zz, d = np.float32(3) * nz * nz - ONE, nx * nx - ny * ny
    for c in range(3):
        lit = (
            light[0, c]
            + light[1, c] * ny
            + light[2, c] * nz
            + light[3, c] * nx
            + light[4, c] * xy
            + light[5, c] * yz
            + light[6, c] * zz
            + light[7, c] * xz
            + light[8, c] * d
        )
        colours[at, c] = display(rows[n, 11 + c] * max(lit, ZERO) * openness, values)


@helper
def triangle_transform(f, v, i, j, k, rest):
    """Compute the transform of a triangle's Gaussians: origin, axes, size, stretch (xx, xz, zz), rotation."""
    ex, ey, ez, yx, yy, yz, zx, zy, zz, length, along, height = frame_of(v, i, j, k)
    size = (length + height) * HALF
    even = rest[f, 3] / size  # sizes are divided out of the stretch
    sx, sz = length / rest[f, 0], height / rest[f, 2]
    shear = (along - rest[f, 1] * sx) / rest[f, 2]
    origin = (
        (v[i, 0] + v[j, 0] + v[k, 0]) * THIRD,
        (v[i, 1] + v[j, 1] + v[k, 1]) * THIRD,
        (v[i, 2] + v[j, 2] + v[k, 2]) * THIRD,
    )
    turn = quaternion_of(ex, ey, ez, yx, yy, yz, zx, zy, zz)
    return origin, (ex, ey, ez, yx, yy, yz, zx, zy, zz), size, (sx * even, shear * even, sz * even), turn


@helper
def normal_at(a, b, c, i, j, k, normals):
    """Interpolate the unit normal of three corners by barycentrics."""
    x = a * normals[i, 0] + b * normals[j, 0] + c * normals[k, 0]
    y = a * normals[i, 1] + b * normals[j, 1] + c * normals[k, 1]
    z = a * normals[i, 2] + b * normals[j, 2] + c * normals[k, 2]
    over = ONE / max(math.sqrt(x * x + y * y + z * z), TINIEST)
    return x * over, y * over, z * over


@helper
def log_stretch(x, y, z, stretch):
    """Compute the log of a Gaussian's stretch along an axis given in its triangle's frame."""
    across, up = stretch[0] * x - stretch[1] * z, stretch[2] * z
    return HALF * math.log(min(max(across * across + y * y + up * up, SHORT), LONG))


@helper
def fade_logit(logit, facing):
    """Fade the opacity logit of a Gaussian facing away from the viewer; minus infinity if culled."""
    opacity = max((facing - GONE) / (WHOLE - GONE), LEAST_FADE) / (ONE + math.exp(-logit))
    opacity = min(opacity, ALL)
    return math.log(opacity / (ONE - opacity)) if opacity >= MIN_VISIBLE else -INFINITE


@kernel(
    "i8(i8, i8, f4[:,::1], f4[:,::1], f4[::1], i4[:,::1], i4[::1], f4[:,::1], f4[:,::1], f4[::1], f4[:,::1],"
    " f4[::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], f4[:,::1])"
)
def show(
    start,
    stop,
    v,
    normals,
    openness,
    faces,
    first,
    rows,
    rest,
    view,
    light,
    values,
    means,
    scales,
    quats,
    logits,
    colours,
):
    """Write the visible Gaussians of triangles start..stop from ``first[start]`` on; return their number."""
    at = first[start]
    for f in range(start, stop):
        if first[f] == first[f + 1]:
            continue
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        origin, axes, size, stretch, turn = triangle_transform(f, v, i, j, k, rest)
        log_size = math.log(size)
        for n in range(first[f], first[f + 1]):
            x, y, z = rows[n, 0], rows[n, 1], rows[n, 2]
            x, y, z = (stretch[0] * x - stretch[1] * z) * size, y * size, stretch[2] * z * size
            px = origin[0] + x * axes[0] + y * axes[3] + z * axes[6]
            py = origin[1] + x * axes[1] + y * axes[4] + z * axes[7]
            pz = origin[2] + x * axes[2] + y * axes[5] + z * axes[8]
            b0, b1 = rows[n, 14], rows[n, 15]
            b2 = ONE - b0 - b1
            nx, ny, nz = normal_at(b0, b1, b2, i, j, k, normals)
            tx, ty, tz = view[18] - px, view[19] - py, view[20] - pz
            facing = (tx * nx + ty * ny + tz * nz) / math.sqrt(tx * tx + ty * ty + tz * tz)
            if not facing > GONE:
                continue
            logit = rows[n, 10]
            if facing < WHOLE:
                logit = fade_logit(logit, facing)
                if logit == -INFINITE:
                    continue
            w, x, y, z = rows[n, 3], rows[n, 4], rows[n, 5], rows[n, 6]
            s0, s1, s2 = rows[n, 7] + log_size, rows[n, 8] + log_size, rows[n, 9] + log_size
            s0 += log_stretch(
                ONE - TWO * (y * y + z * z), TWO * (x * y + w * z), TWO * (x * z - w * y), stretch
            )
            s1 += log_stretch(
                TWO * (x * y - w * z), ONE - TWO * (x * x + z * z), TWO * (y * z + w * x), stretch
            )
            s2 += log_stretch(
                TWO * (x * z + w * y), TWO * (y * z - w * x), ONE - TWO * (x * x + y * y), stretch
            )
            if outside(px, py, pz, max(s0, s1, s2), view):
                continue
            means[at, 0], means[at, 1], means[at, 2] = px, py, pz
            scales[at, 0], scales[at, 1], scales[at, 2] = s0, s1, s2
            quats[at, 0] = turn[0] * w - turn[1] * x - turn[2] * y - turn[3] * z
            quats[at, 1] = turn[0] * x + turn[1] * w + turn[2] * z - turn[3] * y
            quats[at, 2] = turn[0] * y - turn[1] * z + turn[2] * w + turn[3] * x
            quats[at, 3] = turn[0] * z + turn[1] * y - turn[2] * x + turn[3] * w
            logits[at] = logit
            lit = b0 * openness[i] + b1 * openness[j] + b2 * openness[k]
            shade_into(colours, at, nx, ny, nz, lit, rows, n, light, values)
            at += 1
    return at - first[start]
