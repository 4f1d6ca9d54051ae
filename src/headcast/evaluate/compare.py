"""Compare images with real ones of the same view and moment: one row of figures each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from headcast.crops.square import cut_square, pixel_square
from headcast.evaluate.catalogue import AT, REGIONS, ROOM, SQUARE, comparison_figures
from headcast.evaluate.landmarks import StaticLandmarks
from headcast.evaluate.networks import EvaluationNetworks
from headcast.evaluate.report import Row
from headcast.metrics.blendshapes import expression_distance
from headcast.metrics.face import akd, face_mask, iris_centre_distance
from headcast.metrics.features import to_input
from headcast.metrics.figure import Figure
from headcast.metrics.foreground import cut_out, hole_share, silhouette_iou
from headcast.metrics.image import over_grey, psnr, ssim
from headcast.metrics.sharpness import relative_sharpness
from headcast.metrics.ssim import ms_ssim

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Comparer", "Truth", "face_square"]

Image = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class Truth:
    """A real image and what is detected in it once, for all that are compared with it.

    Attributes:
        rgb: as it is. cut: over mid grey by its matte, or as it is when it has none.
        points: its 478 landmarks, pixels; None: no face is visible (from behind), and face figures are left
            out.
        matte: coverage by the person, None when everything counts.
        regions: masks by name (see ``catalogue.REGIONS``).
        descriptors: by the key of an identity network.
    """

    name: str
    rgb: Image
    cut: Image
    points: Float[np.ndarray, "478 2"] | None
    matte: Float[np.ndarray, "h w"] | None
    regions: dict[str, Bool[np.ndarray, "h w"]]
    descriptors: dict[str, Float[np.ndarray, " d"]] = field(default_factory=dict)


class Comparer:
    """Compare images with a truth. Landmarks are detected in the same way on both sides.

    Use it in a ``with`` statement.
    """

    def __init__(self, networks: EvaluationNetworks, regions: Mapping[str, str]) -> None:
        """Load the landmark network; ``regions``: those to compare and how they are found ('': as usual)."""
        self.networks, self.landmarks = networks, StaticLandmarks()
        masks = {k: v for k, v in regions.items() if v}
        self.figures: list[Figure] = comparison_figures(networks, regions, masks)
        self.lost = {f.key: f.lost for f in self.figures if f.lost is not None}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.landmarks.close()

    def truth(
        self,
        rgb: Image,
        name: str,
        matte: Float[np.ndarray, "h w"] | None = None,
        regions: Mapping[str, Bool[np.ndarray, "h w"]] | None = None,
        need_face: bool = True,
    ) -> Truth:
        """Detect landmarks, masks and descriptors of a real image.

        Args:
            matte: coverage by the person; None: all of the image counts.
            regions: masks beside the face oval, which the landmarks give.

        Raises:
            HeadcastError: no face in it, where one is needed.
        """
        cut = rgb if matte is None else cut_out(rgb, matte)
        points = self.landmarks.real_points(rgb, name) if need_face else self.landmarks.points(rgb)
        if points is None:
            return Truth(name=name, rgb=rgb, cut=cut, points=None, matte=matte, regions=dict(regions or {}))
        face = face_mask(points, *rgb.shape[:2])
        found = {i.key: i.descriptor(rgb, points) for i in self.networks.identities}
        if self.networks.encoder:
            found["embedding"] = self.embed_face(cut, points)
        found["expression"] = self.landmarks.scores(points)
        return Truth(
            name=name,
            rgb=rgb,
            cut=cut,
            points=points,
            matte=matte,
            regions={"face": face, **(regions or {})},
            descriptors=found,
        )

    def compare(self, truth: Truth, image: UInt8[np.ndarray, "h w c"] | None) -> Row:
        """Return one row; four channels: straight alpha, composited over mid grey. None: missing."""
        if image is None or image.shape[:2] != truth.rgb.shape[:2]:
            return self.missing(truth)
        fake = over_grey(image) if image.shape[2] == 4 else image
        row = self.pixels(truth, fake)
        alpha = image[..., 3] / np.float32(255) if image.shape[2] == 4 else None
        if alpha is not None and truth.matte is not None:
            row["iou"] = silhouette_iou(truth.matte, alpha)
        if truth.points is None:
            return {k: v for k, v in row.items() if np.isfinite(v)}
        if alpha is not None:
            row["holes"] = hole_share(alpha, truth.regions["face"])
        row["sharpness"] = relative_sharpness(truth.rgb, fake, truth.regions["face"])
        row |= self.distances(truth, fake)
        found = self.landmarks.points(fake)
        keys = (
            "akd",
            "akd_px",
            "lost",
            "embedding",
            "expression",
            *(i.key for i in self.networks.identities),
        )
        row |= (
            {k: self.lost[k] for k in keys if k in self.lost}
            if found is None
            else self.person(truth, fake, found)
        )
        return {k: v for k, v in row.items() if np.isfinite(v)}

    def missing(self, truth: Truth) -> Row:
        """Return the worst value of every figure that an image would have had."""
        row: Row = {}
        for key, worst in self.lost.items():
            region = next((r for r in REGIONS if key.startswith(f"{r}_")), None)
            if region in truth.regions or (region is None and (truth.points is not None or key == "iou")):
                row[key] = worst
        return row

    def pixels(self, truth: Truth, fake: Image) -> Row:
        """Compute PSNR, SSIM, MS-SSIM of every region."""
        row: Row = {}
        for name, mask in truth.regions.items():
            if not mask.any():
                continue
            real = truth.rgb if name == "face" else truth.cut
            row[f"{name}_psnr"] = psnr(real, fake, mask)
            row[f"{name}_ssim"] = ssim(real, fake, mask)
            row[f"{name}_msssim"] = ms_ssim(real, fake, mask)
        return row

    def distances(self, truth: Truth, fake: Image) -> Row:
        """Compute LPIPS and our perceptual distance of the square around the real face."""
        row: Row = {}
        if truth.points is None or (self.networks.lpips is None and self.networks.encoder is None):
            return row
        pair = [face_square(x, truth.points) for x in (truth.cut, fake)]
        a, b = to_input(pair).to(self.networks.device).split(1)
        with torch.no_grad():
            if self.networks.lpips is not None:
                row["lpips"] = float(self.networks.lpips(a, b))
            if self.networks.encoder is not None:
                row["perceptual"] = float(self.networks.encoder[0].distance(a, b))
        return row

    def person(self, truth: Truth, fake: Image, found: Float[np.ndarray, "478 2"]) -> Row:
        """Compute landmark and identity figures of a face that was detected."""
        assert truth.points is not None
        away = akd(truth.points, found)
        pixels = away / 100 * iris_centre_distance(truth.points) * AT / max(fake.shape[:2])
        row: Row = {"akd": away, "akd_px": pixels, "lost": 0.0}
        row["expression"] = expression_distance(truth.descriptors["expression"], self.landmarks.scores(found))
        return row | self.identity(truth.descriptors, fake, found)

    def identity(
        self, descriptors: Mapping[str, np.ndarray], fake: Image, found: Float[np.ndarray, "478 2"] | None
    ) -> Row:
        """Compute likeness to a person by every network; ``descriptors`` are a ``Truth``'s."""
        row: Row = {}
        for i in self.networks.identities:
            row[i.key] = i.lost if found is None else i.compare(descriptors[i.key], i.descriptor(fake, found))
        if self.networks.encoder:
            same = descriptors["embedding"]
            row["embedding"] = 0.0 if found is None else float(same @ self.embed_face(fake, found))
        return row

    def embed_face(self, rgb: Image, points: Float[np.ndarray, "478 2"]) -> Float[np.ndarray, " d"]:
        """Return the evaluator's unit vector of a face."""
        assert self.networks.encoder is not None
        from headcast.priors.encoder import face_crops

        box = torch.from_numpy(np.concatenate([points.min(0), points.max(0)]).astype(np.float32))
        with torch.no_grad():
            crop = face_crops(to_input([rgb]), box[None]).to(self.networks.device)
            return self.networks.encoder[0].embed(crop)[0].float().cpu().numpy()


def face_square(
    rgb: Image, points: Float[np.ndarray, "478 2"], side: int = SQUARE, room: float = ROOM
) -> UInt8[np.ndarray, "s s 3"]:
    """Crop the square around the landmarks and resample it by pixel areas; mid grey beyond the image."""
    import cv2

    from headcast.metrics.image import GREY

    left, top, edge = pixel_square(np.concatenate([points.min(0), points.max(0)]), room)
    square = cut_square(rgb, left, top, edge, fill=GREY)
    method = cv2.INTER_AREA if edge > side else cv2.INTER_CUBIC
    return cv2.resize(square, (side, side), interpolation=method)
