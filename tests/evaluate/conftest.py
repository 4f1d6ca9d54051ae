"""A coarse avatar of the demo photo, made once for all tests of protocols."""

from __future__ import annotations

from pathlib import Path

import pytest

from headcast import api
from headcast.avatar.base import Avatar


@pytest.fixture(scope="session")
def coarse_avatar(demo_photo: Path) -> Avatar:
    """The method ``fit`` with the mesh alone and a small texture."""
    return api.create([demo_photo], options={"representation": "mesh", "texture_size": 256})
