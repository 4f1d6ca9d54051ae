"""The photo of ``make demo``: it comes with a package that the installation brings anyway."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from headcast.errors import HeadcastError

__all__ = ["DEMO_PHOTOS", "demo_photo"]

DEMO_PHOTOS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}
"""Name of the photo: the package that ships it and its path therein. Both are in the public domain."""


def demo_photo(name: str = "astronaut") -> Path:
    """Path of a portrait in the public domain (NASA, US Navy).

    Raises:
        HeadcastError: when the package that carries it isn't installed.
    """
    package, place = DEMO_PHOTOS[name]
    spec = find_spec(package)
    if spec is None or spec.origin is None or not (path := Path(spec.origin).parent / place).is_file():
        raise HeadcastError(
            f"demo photo '{name}': install the package that carries it: pip install {package}"
        )
    return path
