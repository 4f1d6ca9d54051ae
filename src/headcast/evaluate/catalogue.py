"""What every figure of the protocols means: network, crop, mask, range, borders."""

from __future__ import annotations

from collections.abc import Iterable

from headcast.evaluate.landmarks import BLENDSHAPES, MESH
from headcast.evaluate.networks import EvaluationNetworks
from headcast.metrics.figure import Figure
from headcast.metrics.temporal import FLOW
from headcast.priors.encoder.infer import ROOM as EMBEDDED
from headcast.priors.encoder.network import SIDE

__all__ = [
    "REGIONS",
    "ROOM",
    "SQUARE",
    "comparison_figures",
    "cross_figures",
    "motion_figures",
    "set_figures",
]

TRACKER = "headcast's own tracker, smoothed as for animation"
SQUARE = 256
"""Pixels a side of the square around the face that perceptual distances compare."""
ROOM = 1.6
"""Side of that square over the larger side of the landmarks' box."""
AT = 256
"""Longer side of the images that AKD in pixels is stated for, pixels."""

GREY = "what is transparent is composited over mid grey"
REGIONS = {
    "face": "inside the face oval of the real image's landmarks, shrunk to 94 %; real background kept, "
    + GREY,
    "foreground": "the person in the real image (matte over .5); both sides over mid grey",
    "hair": "hair in the real image; both sides over mid grey",
    "head": "skin and hair of the head in the real image, not clothes; both sides over mid grey",
    "whole": "all pixels",
}
"""Descriptions of masks by the name of a region."""


def comparison_figures(
    networks: EvaluationNetworks, regions: Iterable[str], masks: dict[str, str] | None = None
) -> list[Figure]:
    """Describe the figures of an image against the real one of the same view and moment.

    Args:
        regions: where pixels are compared. masks: how these regions are found, where otherwise than usual.
    """
    masks = {**REGIONS, **(masks or {})}
    made: list[Figure] = []
    for r in regions:
        made += pixel_figures(r, masks[r])
    return made + face_figures(networks)


def pixel_figures(region: str, mask: str) -> list[Figure]:
    """Describe PSNR, SSIM and MS-SSIM of a region."""
    psnr = "one mean squared error over all channels of an image"
    ssim = "11x11 Gaussian, sigma 1.5, borders reflected, per channel (scikit-image's numbers)"
    multi = "five scales, exponents of Wang 2003, borders reflected; images under 176 px have none"
    return [
        Figure(key=f"{region}_psnr", title=f"PSNR {region}", unit="dB", mask=mask, note=psnr, lost=0.0),
        Figure(key=f"{region}_ssim", title=f"SSIM {region}", mask=mask, note=ssim, lost=0.0),
        Figure(key=f"{region}_msssim", title=f"MS-SSIM {region}", mask=mask, note=multi, lost=0.0),
    ]


def face_figures(networks: EvaluationNetworks) -> list[Figure]:
    """Describe perceptual, identity, landmark and sharpness figures."""
    square = f"square of {ROOM} times the face's larger side, {SQUARE} px"
    both = "person over mid grey on both sides"
    made: list[Figure] = []
    if networks.lpips is not None:
        made.append(
            Figure(
                key="lpips",
                title="LPIPS",
                unit="",
                better="low",
                network=networks.lpips.name,
                crop=square,
                mask=both,
                span="sRGB display values -1..1",
                note="version 0.1, heads as published",
                lost=1.0,
            )
        )
    if networks.encoder:
        made.append(
            Figure(
                key="perceptual",
                title="perceptual",
                unit="",
                better="low",
                network=networks.encoder[1],
                crop=square,
                mask=both,
                span="sRGB display values -1..1",
                note="LPIPS's formula on our encoder, which no loss has used",
                lost=1.0,
            )
        )
    made += identity_figures(networks)
    made.append(
        Figure(
            key="expression",
            title="expression distance",
            unit="",
            better="low",
            network=BLENDSHAPES,
            span="scores 0..1",
            note="mean absolute difference of 51 scores to the real image's",
            lost=1.0,
        )
    )
    points = "all 478 landmarks, iris centres for the distance"
    at = f"in pixels of an image whose longer side is {AT}; all 478 landmarks"
    every = "landmarks"
    made += [
        Figure(
            key="akd",
            title="AKD",
            unit="% of interocular distance",
            better="low",
            network=MESH,
            mask=every,
            note=points,
            lost=1000.0,
        ),
        Figure(
            key="akd_px",
            title="AKD",
            unit=f"px at {AT}",
            better="low",
            network=MESH,
            mask=every,
            note=at,
            lost=256.0,
        ),
        Figure(
            key="sharpness",
            title="sharpness",
            unit="of the real one's",
            better="neither",
            mask=REGIONS["face"],
            note="RMS of the Laplacian of luma over the real image's: 1 is as sharp",
        ),
        Figure(
            key="iou",
            title="silhouette IoU",
            mask="covered at least half, against the real matte",
            span="alpha 0..1",
            lost=0.0,
        ),
        Figure(
            key="holes",
            title="holes",
            unit="share",
            better="low",
            mask="the face oval; alpha under .9",
            span="alpha 0..1",
            lost=1.0,
        ),
        Figure(
            key="lost",
            title="faces lost",
            unit="share",
            better="low",
            network=MESH,
            note="a missing image or face counts as the worst value of every figure that needs it",
            lost=1.0,
        ),
    ]
    return made


def identity_figures(
    networks: EvaluationNetworks, whom: str = "the real image of the same moment"
) -> list[Figure]:
    """Describe identity by every network available, compared with ``whom``."""
    made = [
        Figure(
            key=i.key,
            title="identity similarity" if i.high else "identity distance",
            unit="cosine" if i.high else "",
            better="high" if i.high else "low",
            network=i.name,
            crop=i.crop,
            mask="none",
            span="sRGB 8 bit",
            note=f"to {whom}" + ("" if i.high else "; other people: median .80"),
            lost=i.lost,
        )
        for i in networks.identities
    ]
    if networks.encoder:
        made.append(
            Figure(
                key="embedding",
                title="identity similarity (ours)",
                unit="cosine",
                better="high",
                network=networks.encoder[1],
                crop=f"square of {EMBEDDED} times the face's larger side, {SIDE} px",
                mask="person over mid grey",
                span="sRGB display values -1..1",
                note=f"to {whom}",
                lost=0.0,
            )
        )
    return made


def cross_figures(networks: EvaluationNetworks) -> list[Figure]:
    """Describe the figures of a person driven by another: likeness to the source, sharpness, lost faces."""
    squares = f"squares of {ROOM} times the face's larger side, {SQUARE} px"
    return [
        *identity_figures(networks, "the source image"),
        Figure(
            key="sharpness",
            title="sharpness",
            unit="of the source's",
            better="neither",
            crop=squares,
            mask="the face oval of the source, in squares of one size",
            note="RMS of the Laplacian of luma over that of the source image; another pose and light",
        ),
        Figure(
            key="lost",
            title="faces lost",
            unit="share",
            better="low",
            network=MESH,
            note="a lost face is like nobody",
            lost=1.0,
        ),
    ]


def motion_figures(whom: str = "the real clip") -> list[Figure]:
    """Describe the figures of a clip's movement."""
    region = "the person (both sides over mid grey)"
    return [
        Figure(
            key="aed",
            title="AED",
            unit="ARKit weight",
            better="low",
            network=TRACKER,
            mask="none",
            span="weights 0..1",
            note=f"mean absolute difference over 52 weights to {whom}; not comparable across trackers",
            lost=1.0,
        ),
        Figure(
            key="apd",
            title="APD",
            unit="degrees",
            better="low",
            network=TRACKER,
            mask="none",
            span="rotation only",
            note=f"angle between head rotations to {whom}; not comparable across trackers",
            lost=180.0,
        ),
        Figure(
            key="flicker",
            title="flicker",
            unit="levels of 255",
            better="neither",
            mask=region,
            span="sRGB 8 bit",
            note="mean distance of a frame to the mean of its neighbours; movement counts: see the real clip",
        ),
        Figure(
            key="warping",
            title="warping error",
            unit="levels of 255",
            better="neither",
            network=FLOW,
            span="sRGB 8 bit",
            mask=region + ", where the flow agrees",
            note="RMS difference to the next frame along the clip's own flow; see the real clip",
        ),
    ]


def set_figures(networks: EvaluationNetworks, whom: str) -> list[Figure]:
    """Describe the figures of whole sets of frames against ``whom``."""
    made: list[Figure] = []
    square = f"square of {ROOM} times the face's larger side, {SQUARE} px"
    both = "person over mid grey on both sides"
    sources = [("ours", networks.encoder), ("inception", networks.inception)]
    for key, source in sources:
        if source is None:
            continue
        title = source[1] + (", means of its two coarsest maps" if key == "ours" else "")
        fid = f"against {whom}; biased by small sets: compare equal counts only"
        kid = f"against {whom}; cubic kernel, unbiased, all images at once, times 1000"
        ours = " (our features)" if key == "ours" else ""
        made += [
            Figure(
                key=f"fid_{key}",
                title="FID" + ours,
                unit="",
                better="low",
                network=title,
                crop=square,
                mask=both,
                note=fid,
            ),
            Figure(
                key=f"kid_{key}",
                title="KID" + ours,
                unit="x1000",
                better="low",
                network=title,
                crop=square,
                mask=both,
                note=kid,
            ),
        ]
    if networks.i3d is not None:
        note = f"against {whom}; windows of 16 frames, 400 logits; biased by small sets"
        made.append(
            Figure(
                key="fvd",
                title="FVD",
                unit="",
                better="low",
                network=networks.i3d[1],
                crop="square around the face",
                mask=both,
                note=note,
            )
        )
    return made
