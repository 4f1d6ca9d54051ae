"""What the studio accepts, and how far its worker processes may go."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "IMAGES",
    "JOB_SECONDS",
    "MAX_BODY",
    "MAX_EXPORTS",
    "MAX_JOBS",
    "MAX_PHOTOS",
    "MAX_UPLOADS",
    "MIN_FREE_BYTES",
    "SUFFIXES",
    "UPLOAD_BYTES",
    "WORKER_BYTES",
    "WORKER_FILE_BYTES",
]

MAX_BODY = 1 << 16
"""Bytes of a request that is not a file."""
UPLOAD_BYTES: Mapping[str, int] = {"photo": 400 << 20, "driver": 400 << 20, "avatar": 400 << 20}
"""Bytes of one file, by what it is for."""
MAX_UPLOADS = 300
"""Files in a project that no head uses yet."""
MAX_PHOTOS = 12
"""Photos of one head."""
MAX_JOBS = 20
"""Jobs that wait or run."""
MAX_EXPORTS = 60
"""Exports kept with one head; the oldest leave."""
MIN_FREE_BYTES = 300 << 20
"""Free space below which nothing is accepted."""

JOB_SECONDS: Mapping[str, float] = {
    "observe": 300,
    "create": 7200,
    "enhance": 7200,
    "export": 900,
    "animate": 3600,
    "import": 300,
}
"""Wall time of a job, by kind."""
WORKER_BYTES = 10 << 30
"""Memory that a worker process may write to."""
WORKER_FILE_BYTES = 4 << 30
"""Longest file that a worker process may write."""

SUFFIXES: Mapping[str, frozenset[str]] = {
    "photo": frozenset(
        {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif", ".avif"}
        | {".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi"}
    ),
    "driver": frozenset({".csv", ".json", ".npz", ".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi"}),
    "avatar": frozenset({".avatar"}),
}
"""Endings that a stored file may take over from the name that it was given with."""

IMAGES = frozenset(
    {"view.jpg", "landmarks.jpg", "mesh.jpg", "masks.jpg", "front.jpg", "side.jpg", "smile.jpg", "thumb.jpg"}
)
"""Names of the images that a worker makes and the page shows."""
