"""The fused CPU kernel of ``render_textured``: interpolation, texture lookup, light and resolve in one pass.

What it computes is said, in plain torch, by ``shaded_reference``; the one difference: samples of a pixel on
one triangle are taken together at their mean.
"""

from __future__ import annotations

from functools import cache
from math import floor, log2, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.render.jit import helper, kernel, parallel
from headcast.render.mesh import pixels_from_world
from headcast.render.raster_numba import raster_numpy
from headcast.render.shading import SH_CONSTANTS, dominant_lights
from headcast.render.types import Rendering

if TYPE_CHECKING:
    from headcast.render.shaded_reference import TexturedScene

__all__ = ["render"]

C0, C1, C4, C6, C8 = (SH_CONSTANTS[i] for i in (0, 1, 4, 6, 8))
TABLE = 4096
ROWS = 8
UNLIT, LIT, GLOSSY = 0, 1, 2


@helper
def fragment(points, faces, faces_uv, uv, attributes, f, x, y, s, g):
    """Interpolate the surface into s[g]: u, v, normal (3), roughness, f0, openness, |d uv / d xy|, slope."""
    i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
    p0, p1, p2 = points[i, 0], points[i, 1], points[i, 2]
    q0, q1, q2 = points[j, 0], points[j, 1], points[j, 2]
    r0, r1, r2 = points[k, 0], points[k, 1], points[k, 2]
    ax, ay, az = q1 * r2 - q2 * r1, q2 * r0 - q0 * r2, q0 * r1 - q1 * r0
    bx, by, bz = r1 * p2 - r2 * p1, r2 * p0 - r0 * p2, r0 * p1 - r1 * p0
    cx, cy, cz = p1 * q2 - p2 * q1, p2 * q0 - p0 * q2, p0 * q1 - p1 * q0
    a, b, c = ax * x + (ay * y + az), bx * x + (by * y + bz), cx * x + (cy * y + cz)
    t = 1.0 / (a + b + c)
    a, b, c = a * t, b * t, c * t
    u0, u1, u2 = uv[faces_uv[f, 0], 0], uv[faces_uv[f, 1], 0], uv[faces_uv[f, 2], 0]
    v0, v1, v2 = uv[faces_uv[f, 0], 1], uv[faces_uv[f, 1], 1], uv[faces_uv[f, 2], 1]
    u, v = a * u0 + b * u1 + c * u2, a * v0 + b * v1 + c * v2
    ux, uy = (u0 - u) * ax + (u1 - u) * bx + (u2 - u) * cx, (u0 - u) * ay + (u1 - u) * by + (u2 - u) * cy
    vx, vy = (v0 - v) * ax + (v1 - v) * bx + (v2 - v) * cx, (v0 - v) * ay + (v1 - v) * by + (v2 - v) * cy
    s[g, 0], s[g, 1] = u, v
    for m in range(6):
        s[g, 2 + m] = a * attributes[i, m] + b * attributes[j, m] + c * attributes[k, m]
    s[g, 8] = abs(ux * vy - uy * vx) * t * t
    s[g, 9] = max(abs(ux) + abs(uy), abs(vx) + abs(vy)) * abs(t)


@helper
def cubic(t):
    """Compute Catmull-Rom weights of the four texels around a position."""
    t2, t3 = t * t, t * t * t
    return (
        np.float32((2.0 * t2 - t3 - t) * 0.5),
        np.float32((3.0 * t3 - 5.0 * t2 + 2.0) * 0.5),
        np.float32((4.0 * t2 - 3.0 * t3 + t) * 0.5),
        np.float32((t3 - t2) * 0.5),
    )


@helper
def lookup(texels, offset, width, height, u, v):
    """Sample RGBA of one mip level, bicubic."""
    x, y = u * width - 0.5, v * height - 0.5
    x, y = x if abs(x) < 1e9 else 0.0, y if abs(y) < 1e9 else 0.0
    x0, y0 = floor(x), floor(y)
    wx, wy = cubic(x - x0), cubic(y - y0)
    i, j = int(x0) - 1, int(y0) - 1
    r, g, b, a = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    inside = i >= 0 and i + 3 < width
    for n in range(4):
        row = offset + min(max(j + n, 0), height - 1) * width
        for m in range(4):
            at = row + i + m if inside else row + min(max(i + m, 0), width - 1)
            w = wx[m] * wy[n]
            r += w * np.float32(texels[at, 0])
            g += w * np.float32(texels[at, 1])
            b += w * np.float32(texels[at, 2])
            a += w * np.float32(texels[at, 3])
    return r, g, b, a


@helper
def curve(table, x):
    """Interpolate a table over 0..1 linearly."""
    t = min(max(x, 0.0), 1.0) * (TABLE - 1)
    i = min(int(t), TABLE - 2)
    return table[i] + (table[i + 1] - table[i]) * (t - i)


@helper
def highlight(nx, ny, nz, vx, vy, vz, lamp, rough, f0):
    """Evaluate :func:`headcast.render.shading.ggx_specular` on scalars."""
    nl = nx * lamp[0] + ny * lamp[1] + nz * lamp[2]
    nv = nx * vx + ny * vy + nz * vz
    if nl <= 0.0 or nv <= 0.0 or f0 <= 0.0:
        return 0.0
    hx, hy, hz = vx + lamp[0], vy + lamp[1], vz + lamp[2]
    s = 1.0 / max(sqrt(hx * hx + hy * hy + hz * hz), 1e-12)
    nh = min(max((nx * hx + ny * hy + nz * hz) * s, 0.0), 1.0)
    m = 1.0 - min(max((vx * hx + vy * hy + vz * hz) * s, 0.0), 1.0)
    rough = max(rough, 0.02)
    a2 = rough * rough * rough * rough
    d = nh * nh * (a2 - 1.0) + 1.0
    smith = 0.5 / (nl * sqrt(nv * nv * (1.0 - a2) + a2) + nv * sqrt(nl * nl * (1.0 - a2) + a2))
    fresnel = f0 + (min(50.0 * f0, 1.0) - f0) * m * m * m * m * m
    return a2 / (d * d) * smith * fresnel * nl


@helper
def shaded(s, g, lod, texels, table, decode, mode, light, lamps, ray):
    """Compute colour and coverage of a fragment."""
    low = min(int(lod), len(table) - 1)
    high = min(low + 1, len(table) - 1) if lod > low else low
    r, gr, b, a = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for k in range(low, high + 1):
        w = np.float32(1.0) if low == high else np.float32(1.0 - abs(lod - k))
        r1, g1, b1, a1 = lookup(texels, table[k, 0], table[k, 1], table[k, 2], s[g, 0], s[g, 1])
        r, gr, b, a = r + w * r1, gr + w * g1, b + w * b1, a + w * a1
    red, green, blue, coverage = curve(decode, r), curve(decode, gr), curve(decode, b), a
    if mode != UNLIT:
        x, y, z = s[g, 2], s[g, 3], s[g, 4]
        n = 1.0 / max(sqrt(x * x + y * y + z * z), 1e-12)
        x, y, z = x * n, y * n, z * n
        h1, h2, h3, h4, h5 = C1 * y, C1 * z, C1 * x, C4 * x * y, C4 * y * z
        h6, h7, h8 = C6 * (3.0 * z * z - 1.0), C4 * x * z, C8 * (x * x - y * y)
        e0 = light[0, 0] * C0 + light[1, 0] * h1 + light[2, 0] * h2 + light[3, 0] * h3 + light[4, 0] * h4
        e0 += light[5, 0] * h5 + light[6, 0] * h6 + light[7, 0] * h7 + light[8, 0] * h8
        e1 = light[0, 1] * C0 + light[1, 1] * h1 + light[2, 1] * h2 + light[3, 1] * h3 + light[4, 1] * h4
        e1 += light[5, 1] * h5 + light[6, 1] * h6 + light[7, 1] * h7 + light[8, 1] * h8
        e2 = light[0, 2] * C0 + light[1, 2] * h1 + light[2, 2] * h2 + light[3, 2] * h3 + light[4, 2] * h4
        e2 += light[5, 2] * h5 + light[6, 2] * h6 + light[7, 2] * h7 + light[8, 2] * h8
        open_ = s[g, 7]
        red, green, blue = red * max(e0, 0.0), green * max(e1, 0.0), blue * max(e2, 0.0)
        red, green, blue = red * open_, green * open_, blue * open_
        if mode == GLOSSY:
            for k in range(len(lamps)):
                w = open_ * highlight(x, y, z, -ray[0], -ray[1], -ray[2], lamps[k], s[g, 5], s[g, 6])
                red, green, blue = red + w * lamps[k, 3], green + w * lamps[k, 4], blue + w * lamps[k, 5]
    return red, green, blue, min(max(coverage, 0.0), 1.0)


@helper
def gather_fragments(
    points, faces, faces_uv, uv, attributes, triangle, depth, px, py, n, width, height, face, s
):
    """Collect fragments of a pixel, one per triangle: count, covered samples, nearest depth, if one surface.

    s[g] holds :func:`fragment`'s values for group g, s[g, 8] in texels per pixel, and its samples in
    s[g, 10]; s[n n] becomes their mean.
    """
    groups, covered, z = 0, 0, np.float32(np.inf)
    for y in range(py * n, py * n + n):
        for x in range(px * n, px * n + n):
            f = triangle[y, x]
            if f < 0:
                continue
            covered += 1
            z = min(z, depth[y, x])
            g = 0
            while g < groups and face[g] != f:
                g += 1
            if g == groups:
                groups += 1
                face[g], s[g, 10], s[g, 11], s[g, 12] = f, 0.0, 0.0, 0.0
            s[g, 10] += 1.0
            s[g, 11] += x + 0.5
            s[g, 12] += y + 0.5
    last, reach = n * n, np.inf
    for m in range(9):
        s[last, m] = 0.0
    for g in range(groups):
        fragment(
            points, faces, faces_uv, uv, attributes, face[g], s[g, 11] / s[g, 10], s[g, 12] / s[g, 10], s, g
        )
        s[g, 8] *= n * n * width * height
        reach = min(reach, s[g, 9] * n)
        fraction = s[g, 10] / covered
        for m in range(9):
            s[last, m] += s[g, m] * fraction
    spread = 0.0
    for g in range(groups):
        spread = max(spread, abs(s[g, 0] - s[last, 0]) * width, abs(s[g, 1] - s[last, 1]) * height)
    once = spread <= 2.0 * reach * max(width, height) + 0.5
    return groups, covered, z, once


@kernel(
    "void(f8[:,::1], i4[:,::1], i4[:,::1], f4[:,::1], f4[:,::1], i4[:,::1], f4[:,::1], i8, f4[:,::1], "
    "i8[:,::1], f4[::1], f4[::1], i8, f8[:,::1], f8[:,::1], f8[:,::1], i8, i8, f4[:,:,::1], f4[:,::1], "
    "f4[:,::1])"
)
def shade_rows(
    points,
    faces,
    faces_uv,
    uv,
    attributes,
    triangle,
    depth,
    n,
    texels,
    table,
    decode,
    encode,
    mode,
    light,
    lamps,
    to_world,
    top,
    bottom,
    rgb,
    alpha,
    z_out,
):
    """Shade the pixels of rows top..bottom-1."""
    s, face, ray = np.empty((n * n + 1, 13)), np.empty(n * n, np.int32), np.empty(3)
    width, height = table[0, 1], table[0, 2]
    for y in range(top, bottom):
        for x in range(alpha.shape[1]):
            groups, covered, z, once = gather_fragments(
                points, faces, faces_uv, uv, attributes, triangle, depth, x, y, n, width, height, face, s
            )
            if covered == 0:
                rgb[y, x, 0], rgb[y, x, 1], rgb[y, x, 2], alpha[y, x], z_out[y, x] = 0.0, 0.0, 0.0, 0.0, 0.0
                continue
            if mode == GLOSSY:
                for k in range(3):
                    ray[k] = to_world[k, 0] * (x + 0.5) + to_world[k, 1] * (y + 0.5) + to_world[k, 2]
                scale = 1.0 / sqrt(ray[0] * ray[0] + ray[1] * ray[1] + ray[2] * ray[2])
                ray *= scale
            red, green, blue, coverage = 0.0, 0.0, 0.0, 0.0
            for g in range(1 if once else groups):
                own = n * n if once else g
                w = 1.0 if once else s[g, 10] / covered
                lod = 0.5 * log2(np.float32(s[own, 8])) - 1.0 if s[own, 8] > 4.0 else 0.0
                r1, g1, b1, a1 = shaded(s, own, lod, texels, table, decode, mode, light, lamps, ray)
                red, green, blue, coverage = red + w * r1, green + w * g1, blue + w * b1, coverage + w * a1
            rgb[y, x, 0] = curve(encode, sqrt(max(red, 0.0)))
            rgb[y, x, 1] = curve(encode, sqrt(max(green, 0.0)))
            rgb[y, x, 2] = curve(encode, sqrt(max(blue, 0.0)))
            alpha[y, x] = (coverage if coverage < 0.99999 else 1.0) * covered / (n * n)
            z_out[y, x] = z


@cache
def _curve(given: str, wanted: str, root: bool) -> np.ndarray:
    """Tabulate the conversion between two colour spaces over 0..1, or over the square root of it."""
    x = np.linspace(0, 1, TABLE)
    x = x * x if root else x
    if given != wanted:
        x = srgb_to_linear(x) if wanted == "linear" else linear_to_srgb(x)
    return x.astype(np.float32)


def _array(x: torch.Tensor, dtype: type) -> np.ndarray:
    return np.ascontiguousarray(x.detach().numpy(), dtype)


class _Lighting(NamedTuple):
    """Mode, SH coefficients (9, 3), lamps (n, direction and colour)."""

    mode: int
    coefficients: np.ndarray
    lamps: np.ndarray


def _lighting(scene: TexturedScene) -> _Lighting:
    """Return mode, SH coefficients (9, 3), lamps (n, direction and colour)."""
    if scene.light is None:
        return _Lighting(UNLIT, np.zeros((9, 3)), np.zeros((0, 6)))
    light = _array(scene.light, np.float64)
    if scene.gloss is None:
        return _Lighting(LIT, light, np.zeros((0, 6)))
    return _Lighting(GLOSSY, light, _array(torch.cat(dominant_lights(scene.light), 1), np.float64))


def render(scene: TexturedScene) -> Rendering:
    """Render a scene whose tensors are on the CPU; no gradients.

    (Arrays are prepared in numpy: a torch operation on so little data would wait for torch's threads.)
    """
    camera, fine, n = scene.camera, scene.fine_camera, scene.antialias
    matrix = pixels_from_world(fine).numpy()
    points = np.einsum("vj,ij->vi", _array(scene.vertices, np.float64), matrix[:, :3]) + matrix[:, 3]
    faces, faces_uv = _array(scene.faces, np.int32), _array(scene.faces_uv, np.int32)
    triangle, depth = raster_numpy(
        np.ascontiguousarray(points), faces, fine.width, fine.height, scene.near, False
    )
    mode, light, lamps = _lighting(scene)
    attributes = _vertex_attributes(scene, points)
    curves = _space_curves(scene, mode)
    to_world = np.ascontiguousarray(np.linalg.inv(pixels_from_world(camera).numpy()[:, :3]))
    texels, table = scene.pyramid.packed
    size = camera.height, camera.width
    rgb, alpha, z = np.empty((*size, 3), np.float32), np.empty(size, np.float32), np.empty(size, np.float32)
    surface = np.ascontiguousarray(points), faces, faces_uv, _array(scene.uv, np.float32), attributes
    given = (*surface, triangle, depth, n, texels, table, *curves, mode, light, lamps, to_world)

    def piece(i: int) -> None:
        shade_rows(*given, i * ROWS, min((i + 1) * ROWS, camera.height), rgb, alpha, z)

    parallel(piece, -(-camera.height // ROWS))
    images = (torch.from_numpy(x).to(scene.vertices.dtype) for x in (rgb, alpha, z))
    return Rendering(*images, colour_space=scene.colour_space)


def _space_curves(scene: TexturedScene, mode: int) -> tuple[np.ndarray, np.ndarray]:
    """Return tables from the texture's space to that of light, and from there to the image's."""
    middle = "linear" if mode else scene.texture_space
    return _curve(scene.texture_space, middle, False), _curve(middle, scene.colour_space, True)


def _vertex_attributes(scene: TexturedScene, points: np.ndarray) -> np.ndarray:
    """Return normal (3), roughness, f0 and openness of every vertex."""
    attributes = np.ones((len(points), 6), np.float32)
    attributes[:, :3] = scene.normals.detach().numpy()
    attributes[:, 3:5] = 0 if scene.gloss is None else scene.gloss.detach().numpy()
    if scene.openness is not None:
        attributes[:, 5] = scene.openness.detach().numpy()
    return attributes
