"""A real smiling photo against a rendering in the same camera: the face, the mouth, the person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from headcast.errors import HeadcastError
from headcast.evaluate.aligned import face_hull, fit_similarity, warp_image
from headcast.evaluate.landmarks import StaticLandmarks
from headcast.evaluate.networks import EvaluationNetworks
from headcast.evaluate.report import Row
from headcast.evaluate.side_views import lpips_of
from headcast.head.face_oval import OVAL
from headcast.metrics.blendshapes import expression_distance
from headcast.metrics.image import GREY, psnr
from headcast.metrics.sface import cosine_similarity

__all__ = ["SmilingPhoto", "align_neutral", "score_smile", "smiling_photo"]

LPIPS_SIDE = 256
"""Pixels of the square in which both crops are compared by LPIPS."""
MOUTH = (61, 291, 0, 17)  # MediaPipe points: corners of the mouth, upper and lower edge of the lips
MOUTH_SIDEWAYS, MOUTH_UPWARDS = 1.0, 0.7  # half sides of the mouth's box, in distances of the corners
NOT_DETECTED = 1.0  # expression distance of a rendering without a face

Image = UInt8[np.ndarray, "h w 3"]
Points = Float[np.ndarray, "478 2"]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class SmilingPhoto:
    """The real smiling photo and what is detected in it once.

    Attributes:
        hull: inside the face's outline. face, mouth: boxes in pixels (x0, y0, x1, y1).
        embedding: SFace's. scores: of the blendshape network. None: not detected, or not available.
    """

    rgb: Image
    points: Points
    hull: Bool[np.ndarray, "h w"]
    face: Box
    mouth: Box
    embedding: Float[np.ndarray, "128"] | None
    scores: Float[np.ndarray, "52"]


def smiling_photo(
    rgb: Image, points: Points, networks: EvaluationNetworks, detector: StaticLandmarks
) -> SmilingPhoto:
    """Find what all renderings are compared with."""
    outline = points[list(OVAL)]
    (x0, y0), (x1, y1) = outline.min(0).astype(int), outline.max(0).astype(int)
    lips = points[list(MOUTH)]
    wide, middle = float(np.linalg.norm(lips[0] - lips[1])), lips.mean(0)
    reach = np.array([MOUTH_SIDEWAYS, MOUTH_UPWARDS]) * wide
    (left, top), (right, bottom) = (middle - reach).astype(int), (middle + reach).astype(int)
    return SmilingPhoto(
        rgb=rgb,
        points=points,
        hull=face_hull(points, rgb),
        face=(int(x0), int(y0), int(x1), int(y1)),
        mouth=(int(left), int(top), int(right), int(bottom)),
        embedding=networks.sface.embedding(rgb) if networks.sface else None,
        scores=detector.scores(points),
    )


def align_neutral(
    neutral: UInt8[np.ndarray, "_ _ 3"], points: Points, smiling: SmilingPhoto, name: str
) -> Image:
    """Lay the neutral photo over the smiling one by a similarity: what one has without any avatar.

    Raises:
        HeadcastError: no similarity fits.
    """
    similarity = fit_similarity(points, smiling.points)
    if similarity is None:
        raise HeadcastError(f"{name}: the two photos cannot be aligned; leave the person out")
    return warp_image(neutral, similarity, smiling.rgb)


def score_smile(
    smiling: SmilingPhoto,
    rendered: Image,
    scores: Float[np.ndarray, "52"] | None,
    networks: EvaluationNetworks,
) -> Row:
    """Compare an image of the same size with the smiling photo.

    Args:
        scores: expression scores of the image; None where no face is found in it.
    """
    row: Row = {"psnr": psnr(rendered, smiling.rgb, smiling.hull)}
    if networks.lpips is not None:
        for key, box in (("lpips", smiling.face), ("mouth", smiling.mouth)):
            ours, real = resized_crop(rendered, box), resized_crop(smiling.rgb, box)
            row[key] = lpips_of(ours, real, networks)
        bare = (resized_crop(over_hull(image, smiling), smiling.face) for image in (rendered, smiling.rgb))
        row["lpips_hull"] = lpips_of(*bare, networks=networks)
    if networks.sface is not None:
        row["sface"] = cosine_similarity(smiling.embedding, networks.sface.embedding(rendered))
    lost = scores is None
    row["expression"] = NOT_DETECTED if lost else expression_distance(smiling.scores, scores)
    return row


def over_hull(image: Image, smiling: SmilingPhoto) -> Image:
    """Put mid grey outside the face, so that the photos' own background favours no method."""
    return np.where(smiling.hull[..., None], image, np.uint8(GREY))


def resized_crop(image: Image, box: Box) -> UInt8[np.ndarray, "s s 3"]:
    """Crop a box of an image and resize it to a square for LPIPS."""
    import cv2

    x0, y0, x1, y1 = box
    return cv2.resize(image[max(y0, 0) : y1, max(x0, 0) : x1], (LPIPS_SIDE, LPIPS_SIDE))
