"""Fills src/headcast/weights/face_networks from MediaPipe's published files, byte for byte, with their card.

``python tools/build_face_networks.py face_landmarker.task mediapipe-0.10.21-*.whl``. The bundle has the near
detector, the landmark and the blendshape network; the wheel has the far detector and selfie segmentation.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import zipfile
from pathlib import Path

from headcast.face_networks.network import FOLDER

BUNDLE = "face_landmarker.task"
WHEEL = "mediapipe 0.10.21"
NETWORKS = {
    "face_detector": (BUNDLE, "face_detector.tflite", "BlazeFace, short range: faces within 2 m"),
    "face_landmarks": (BUNDLE, "face_landmarks_detector.tflite", "478 landmarks of a face in a crop"),
    "face_blendshapes": (BUNDLE, "face_blendshapes.tflite", "52 expression scores from landmarks"),
    "face_detector_far": (
        WHEEL,
        "mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite",
        "BlazeFace, full range: faces within 5 m",
    ),
    "selfie_segmentation": (
        WHEEL,
        "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
        "people against their background",
    ),
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path, help="face_landmarker.task (float16, version 1)")
    parser.add_argument("wheel", type=Path, help="wheel of mediapipe 0.10.21")
    parser.add_argument(
        "-o", "--out", type=Path, default=FOLDER, help="folder; its card is written beside it"
    )
    given = parser.parse_args()
    sources = {BUNDLE: zipfile.ZipFile(given.bundle), WHEEL: zipfile.ZipFile(given.wheel)}
    given.out.mkdir(exist_ok=True)
    files = {}
    for name, (source, entry, what) in NETWORKS.items():
        content = sources[source].read(entry)
        (given.out / f"{name}.tflite").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        files[name] = {"what": what, "source": f"{source}: {entry}", "bytes": len(content), "sha256": digest}
    card = {
        "what": "networks of MediaPipe, unchanged: face detectors, landmarks, blendshapes, segmentation",
        "authors": "The MediaPipe Authors, Google LLC (google-ai-edge/mediapipe)",
        "licence": "Apache-2.0",
        "tool": "tools/build_face_networks.py",
        "files": files,
    }
    given.out.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
