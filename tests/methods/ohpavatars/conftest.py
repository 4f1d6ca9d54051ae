"""The plain head of Gaussians of ``tests/plain_head.py``, small enough for the loop."""

from __future__ import annotations

import pytest
from tests.plain_head import head_and_photo

from headcast.avatar.gaussian import GaussianAvatar
from headcast.observe.types import Observation


@pytest.fixture(scope="session")
def scene() -> tuple[GaussianAvatar, Observation]:
    """Share one head among the tests: nothing changes it."""
    return head_and_photo()
