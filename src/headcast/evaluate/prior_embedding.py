"""The identity network on people in different photographs of whom nothing was trained on.

People are divided by hash: one half decides (thresholds, length of training), the other is reported.
Controls: pixels, random weights, the older encoders; dlib (and SFace with the user's files) as references.
London's neutral and smiling photographs of one session are a row of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from headcast.errors import HeadcastError
from headcast.evaluate.data import skin_thirds
from headcast.evaluate.identity_people import PersonPhotos, held_people
from headcast.evaluate.networks import DLIB
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting
from headcast.image import load_image
from headcast.metrics.figure import Figure
from headcast.metrics.skin_tone import typology_angle
from headcast.observe.detection import Detection
from headcast.observe.landmarks import FaceDetector
from headcast.observe.same_person import MAX_DISTANCE
from headcast.priors.embedding import IdentityEmbedder, embed_face, identity_available

__all__ = ["LikenessPairs", "equal_error_rate", "likeness_pairs", "measure", "ranking_auc"]

OURS, UNTRAINED, PIXELS = "identity network", "identity network, random weights", "pixels (32²)"
LONGEST = 1024
"""Pixels of the longer side that photographs are reduced to."""
FACE = (10, 338, 297, 284, 389, 454, 361, 397, 378, 152, 149, 172, 132, 234, 162, 54, 67, 109)
"""Landmarks around the face, for its colour."""

FIGURES = (
    Figure(key="people", title="people", better="neither"),
    Figure(key="auc", title="AUC", note="pairs of one person against pairs of two, ROC"),
    Figure(key="eer", title="equal error rate", unit="share", better="low"),
    Figure(
        key="refused",
        title="one person refused",
        unit="share",
        better="low",
        note=f"distance of {MAX_DISTANCE} or more, of the pairs of one person",
    ),
    Figure(key="separated", title="two people refused", unit="share"),
)

Embed = Callable[[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "478 2"]], Float[np.ndarray, "d"]]


class Faces(NamedTuple):
    """Vectors of all photographs by method, whose they are, and the skin's angle of every person."""

    vectors: dict[str, Float[np.ndarray, "n d"]]
    person: list[str]
    tone: dict[str, float]


class LikenessPairs(NamedTuple):
    """Likeness of all pairs of photographs, and whether they show one person."""

    likeness: Float[np.ndarray, " p"]
    same: Bool[np.ndarray, " p"]


def measure(setting: Setting) -> Report:
    """Measure the identity network, controls and references.

    Raises:
        HeadcastError: no weights in the package, or no such people in the data folder.
    """
    if not identity_available():
        raise HeadcastError("evaluate embedding: no weights in the package; train: headcast train embedding")
    people = held_people(setting.data)[: setting.limit]
    if not people:
        raise HeadcastError(f"{setting.data}: nobody in different photographs; give the folder of data sets")
    report = Report(protocol="prior", figures={f.key: f for f in FIGURES}, main=tuple(f.key for f in FIGURES))
    faces = embed_people(setting, people, report)
    for method, vectors in faces.vectors.items():
        for name, chosen in sets_of_people(people, faces.tone).items():
            at = np.array([i for i, who in enumerate(faces.person) if who in chosen], int)
            at = at[np.isfinite(vectors[at]).all(1)]
            row = figures_of(vectors[at], [faces.person[i] for i in at], thresholds=method == OURS)
            if row:
                report.add(method, name, [row])
    report.notes.append(
        f"{len(faces.person)} photographs of {len(people)} people; nobody of the training set"
    )
    return report


def sets_of_people(people: Sequence[PersonPhotos], tone: dict[str, float]) -> dict[str, set[str]]:
    """Name the sets of people that figures are stated for."""
    other = [p for p in people if not p.same_day]
    found = {
        "other day, half that decides": {p.person for p in other if p.half == "decides"},
        "other day, half that is reported": {p.person for p in other if p.half == "reported"},
        "other day, all": {p.person for p in other},
        "one session, neutral and smiling": {p.person for p in people if p.same_day},
    }
    tones = {p.person: tone[p.person] for p in other if p.person in tone}
    return found | ({k: set(v) for k, v in skin_thirds(tones).items()} if len(tones) >= 3 else {})


def embed_people(setting: Setting, people: Sequence[PersonPhotos], report: Report) -> Faces:
    """Embed every photograph with a face by every method."""
    methods = embedding_methods(setting)
    rows: dict[str, list[Float[np.ndarray, "d"]]] = {m: [] for m in methods}
    person, tones = [], {}
    paths = [(p.person, path) for p in people for path in p.photos]
    with FaceDetector() as detector:
        for k, (who, path) in enumerate(paths):
            setting.say(k / len(paths), path.stem)
            rgb = reduce_image(load_image(path).rgb)
            found = detector.detect(rgb)
            if not found:
                report.skipped[path.stem] = "no face found"
                continue
            person.append(who)
            tones.setdefault(who, []).append(face_tone(rgb, found[0]))
            for name, embed in methods.items():
                rows[name].append(embed(rgb, found[0].points))
    vectors = {name: np.stack(found) for name, found in rows.items() if found}
    return Faces(vectors, person, {who: float(np.mean(t)) for who, t in tones.items()})


def embedding_methods(setting: Setting) -> dict[str, Embed]:
    """Return what embeds a face, by name: ours, controls, and the references that are installed."""
    torch.manual_seed(setting.seed)
    untrained = IdentityEmbedder().eval()
    methods: dict[str, Embed] = {
        OURS: embed_face,
        UNTRAINED: lambda rgb, points: embed_face(rgb, points, untrained),
        PIXELS: embed_pixels,
    }
    methods |= older_encoders()
    try:
        from headcast.metrics.face import identity_descriptor

        identity_descriptor(np.zeros((64, 64, 3), np.uint8), np.array([[8.0, 8.0], [56.0, 56.0]]))
        methods[DLIB] = lambda rgb, points: unit(identity_descriptor(rgb, points))
    except ImportError:
        pass
    reference = setting.networks.sface
    if reference is not None:
        methods["SFace"] = lambda rgb, points: known_vector(reference.embedding(rgb))
    return methods


def older_encoders() -> dict[str, Embed]:
    """Return the encoders that are features of images in the first place."""
    from headcast.priors.encoder import available, face_crops, load_encoder

    def embed(rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 2"], which: str) -> np.ndarray:
        image = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        box = torch.from_numpy(np.concatenate([points.min(0), points.max(0)]).astype(np.float32))[None]
        return load_encoder(which).embed(face_crops(image, box))[0].numpy()

    return {
        f"encoder '{which}'": lambda rgb, points, which=which: embed(rgb, points, which)
        for which in ("losses", "evaluator")
        if available(which)
    }


def known_vector(vector: Float[np.ndarray, "128"] | None) -> Float[np.ndarray, "128"]:
    """Return a vector; NaN where it finds no face, so that the photograph is left out."""
    return np.full(128, np.nan) if vector is None else vector


def embed_pixels(rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 2"]) -> np.ndarray:
    """Return the standardized pixels of the aligned crop."""
    from headcast.priors.embedding import upright_face_square

    crop = upright_face_square(points).cut(rgb, 32).image.astype(float).ravel()
    return unit(crop - crop.mean())


def unit(x: Float[np.ndarray, "d"]) -> Float[np.ndarray, "d"]:
    """Scale a vector to length 1."""
    return x / max(float(np.linalg.norm(x)), 1e-9)


def reduce_image(rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "a b 3"]:
    """Reduce an image to ``LONGEST``, averaging."""
    import cv2

    scale = LONGEST / max(rgb.shape[:2])
    return rgb if scale >= 1 else cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def face_tone(rgb: UInt8[np.ndarray, "h w 3"], detection: Detection) -> float:
    """Return the individual typology angle of the face region, degrees."""
    import cv2

    mask = np.zeros(rgb.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(detection.points[list(FACE)]).astype(np.int32)], (1,))
    return typology_angle(rgb, mask > 0)


def figures_of(vectors: Float[np.ndarray, "n d"], person: Sequence[str], thresholds: bool) -> Row:
    """Return the figures of a set of people; empty where there are no pairs of one and of two."""
    pairs = likeness_pairs(vectors, person)
    if not pairs.same.any() or pairs.same.all():
        return {}
    row = {
        "people": float(len(set(person))),
        "auc": ranking_auc(pairs),
        "eer": equal_error_rate(pairs),
    }
    if thresholds:
        far = 1 - pairs.likeness
        row |= {
            "refused": float((far[pairs.same] >= MAX_DISTANCE).mean()),
            "separated": float((far[~pairs.same] >= MAX_DISTANCE).mean()),
        }
    return row


def likeness_pairs(vectors: Float[np.ndarray, "n d"], person: Sequence[str]) -> LikenessPairs:
    """Return the dot products of all pairs, and which are of one person."""
    pairs: Int[np.ndarray, "p 2"] = np.array(list(combinations(range(len(person)), 2)), int).reshape(-1, 2)
    names = np.array(person)
    likeness = (vectors[pairs[:, 0]] * vectors[pairs[:, 1]]).sum(1)
    return LikenessPairs(likeness, names[pairs[:, 0]] == names[pairs[:, 1]])


def ranking_auc(pairs: LikenessPairs) -> float:
    """Return how often a pair of one person is more alike than a pair of two; ties count half."""
    own, other = pairs.likeness[pairs.same], np.sort(pairs.likeness[~pairs.same])
    below = np.searchsorted(other, own, "left") + np.searchsorted(other, own, "right")
    return float(below.mean() / 2 / len(other))


def equal_error_rate(pairs: LikenessPairs) -> float:
    """Return the share of errors at the threshold where both kinds are equally frequent."""
    at = np.unique(pairs.likeness)
    missed = np.searchsorted(np.sort(pairs.likeness[pairs.same]), at) / pairs.same.sum()
    taken = 1 - np.searchsorted(np.sort(pairs.likeness[~pairs.same]), at) / (~pairs.same).sum()
    k = int(np.abs(missed - taken).argmin())
    return float((missed[k] + taken[k]) / 2)
