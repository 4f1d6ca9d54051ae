"""Colours of video frames as sRGB: YUV matrix and range, wide gamuts, tone mapping of HDR (HLG, PQ)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8, UInt16

from headcast.image import linear_to_srgb, srgb_to_linear

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["colour_note", "frame_to_srgb", "gamut_matrix", "hlg_to_scene", "pq_to_nits", "wide_to_srgb"]

PQ, HLG = 16, 18  # transfer characteristics, ITU-T H.273
BT709, BT2020, DISPLAY_P3 = 1, 9, 12  # primaries, ITU-T H.273
PRIMARIES = {  # chromaticities x, y of red, green, blue; the white of all is D65
    BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    DISPLAY_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
GAMUT_NAMES = {BT2020: "BT.2020", DISPLAY_P3: "Display P3"}
D65 = (0.3127, 0.3290)
WHITE_NITS = 203.0  # diffuse white of HDR, which SDR shows as white (ITU-R BT.2408)
HLG_PEAK_NITS, HLG_GAMMA = 1000.0, 1.2  # the reference display of ITU-R BT.2100
PEAK_STEPS = 1024  # per unit of linear light; 10000 nits are below 65536 steps
KNEE = 0.8  # linear; highlights above are compressed into the rest
UNSPECIFIED, BT601_MATRIX, BT709_MATRIX = 2, 5, 1  # YUV matrices, ITU-T H.273
HD_WIDTH, SD_HEIGHT = 1280, 576


def frame_to_srgb(frame: VideoFrame, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """Convert a decoded frame to sRGB at a size (width, height), by what it says of its colours."""
    from av.video.reformatter import Interpolation

    transfer, gamut = frame.color_trc, colour_gamut(frame)
    wide = transfer in (PQ, HLG) or gamut != BT709
    same = size == (frame.width, frame.height)
    rgb = frame.reformat(
        *size,
        format="rgb48le" if wide else "rgb24",
        src_colorspace=guessed_matrix(frame),
        interpolation=None if same else Interpolation.AREA,
    ).to_ndarray()
    return wide_to_srgb(rgb, transfer, gamut) if wide else rgb


def colour_gamut(frame: VideoFrame) -> int:
    """Return the primaries to convert from; BT.2020 for HDR that names none, BT.709 for all near it."""
    known = frame.color_primaries if frame.color_primaries in PRIMARIES else BT709
    hdr_unsaid = frame.color_trc in (PQ, HLG) and frame.color_primaries in (0, UNSPECIFIED)
    return BT2020 if hdr_unsaid else known


def guessed_matrix(frame: VideoFrame) -> int | None:
    """Return the YUV matrix of a frame that names none: BT.709 for HD, BT.601 below; None: it names one."""
    if frame.colorspace != UNSPECIFIED or frame.format.is_rgb:
        return None
    return BT709_MATRIX if frame.width >= HD_WIDTH or frame.height > SD_HEIGHT else BT601_MATRIX


def colour_note(frame: VideoFrame) -> str | None:
    """Return what the user should know about a frame's colours, None when they are plain sRGB."""
    if frame.color_trc in (PQ, HLG):
        return f"HDR video ({'HLG' if frame.color_trc == HLG else 'PQ'}); tone-mapped to sRGB"
    gamut = GAMUT_NAMES.get(colour_gamut(frame))
    return None if gamut is None else f"wide-gamut video ({gamut}); converted to sRGB"


def wide_to_srgb(rgb: UInt16[np.ndarray, "h w 3"], transfer: int, gamut: int) -> UInt8[np.ndarray, "h w 3"]:
    """Convert 16-bit display values of an HDR or wide-gamut signal to sRGB.

    SDR white is the diffuse white of HDR, 203 nits; brighter highlights are compressed, keeping their hue.

    Args:
        transfer, gamut: transfer characteristics and primaries, by their numbers in ITU-T H.273.
    """
    import cv2

    linear = linear_table(transfer)[rgb]
    if transfer == HLG:
        luminance = cv2.transform(linear, luminance_weights(gamut))
        linear *= hlg_gain_table()[(luminance * 65535 + 0.5).astype(np.uint16)][..., None]
    linear = cv2.transform(linear, gamut_matrix(gamut))
    if transfer in (PQ, HLG):
        compress_highlights(linear)
    codes = (np.clip(linear, 0, 1) * 65535 + 0.5).astype(np.uint16)
    return srgb_code_table()[codes]


def compress_highlights(linear: Float[np.ndarray, "h w 3"]) -> None:
    """Scale pixels whose largest channel is above the knee, in place, so that all stay below 1."""
    peak = np.maximum(np.maximum(linear[..., 0], linear[..., 1]), linear[..., 2])
    linear *= highlight_scale_table()[np.clip(peak * PEAK_STEPS, 0, 65535).astype(np.uint16)][..., None]


@cache
def highlight_scale_table() -> Float[np.ndarray, "65536"]:
    """Tabulate by what a pixel is scaled, by its largest channel in steps of 1 / ``PEAK_STEPS``."""
    peak = np.maximum((np.arange(65536) + 0.5) / PEAK_STEPS, KNEE)
    return ((KNEE + (1 - KNEE) * (1 - np.exp(-(peak - KNEE) / (1 - KNEE)))) / peak).astype(np.float32)


@cache
def hlg_gain_table() -> Float[np.ndarray, "65536"]:
    """Tabulate display light (1: SDR white) over scene light, by the scene's luminance in 0..1."""
    luminance = np.maximum(np.arange(65536), 0.5) / 65535
    return (HLG_PEAK_NITS / WHITE_NITS * luminance ** (HLG_GAMMA - 1)).astype(np.float32)


@cache
def linear_table(transfer: int) -> Float[np.ndarray, "65536"]:
    """Tabulate linear light of 16-bit display values: 1 is SDR white; of HLG, the scene's light in 0..1."""
    x = np.arange(65536) / 65535
    if transfer == HLG:
        return hlg_to_scene(x).astype(np.float32)
    return (pq_to_nits(x) / WHITE_NITS if transfer == PQ else srgb_to_linear(x)).astype(np.float32)


@cache
def srgb_code_table() -> UInt8[np.ndarray, "65536"]:
    """Tabulate sRGB display values of 16-bit linear light."""
    return (linear_to_srgb(np.arange(65536) / 65535) * 255 + 0.5).astype(np.uint8)


def hlg_to_scene(signal: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
    """Convert a hybrid log-gamma signal to scene light, both in 0..1 (ITU-R BT.2100, inverse OETF)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def pq_to_nits(signal: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
    """Convert a perceptual quantizer signal in 0..1 to display light in cd/m2 (SMPTE ST 2084)."""
    m1, m2 = 2610 / 16384, 2523 / 32
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    p = np.maximum(signal, 0) ** (1 / m2)
    return 10000 * (np.maximum(p - c1, 0) / (c2 - c3 * p)) ** (1 / m1)


@cache
def to_xyz(gamut: int) -> Float[np.ndarray, "3 3"]:
    """Return the matrix from linear RGB of some primaries to CIE XYZ, white at Y = 1."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in PRIMARIES[gamut]]).T
    white = np.array([D65[0] / D65[1], 1, (1 - D65[0] - D65[1]) / D65[1]])
    return columns * np.linalg.solve(columns, white)


@cache
def gamut_matrix(gamut: int) -> Float[np.ndarray, "3 3"]:
    """Return the matrix from linear RGB of some primaries to that of sRGB."""
    return np.linalg.solve(to_xyz(BT709), to_xyz(gamut)).astype(np.float32)


def luminance_weights(gamut: int) -> Float[np.ndarray, "1 3"]:
    """Return the weights of linear red, green and blue in the luminance."""
    return to_xyz(gamut)[1:2].astype(np.float32)
