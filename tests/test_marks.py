"""What files say about themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headcast.image import save_png
from headcast.marks import SYNTHETIC, commercial_use, facts, header_lines, png_metadata, video_text

INFO = {
    "method": "fit",
    "synthetic_media": "All synthetic.",
    "consent": "Yes — Åsa",
    "weights": [{"name": "head", "licence": "Apache-2.0; learned from ICT (MIT)"}],
}


@pytest.mark.parametrize(
    ("licence", "free"),
    [
        ("Apache-2.0", True),
        ("MIT", True),
        ("CC0-1.0", True),
        ("CC-BY-4.0", True),
        ("CC-BY-NC-4.0", False),
        ("MIT for code, non-commercial weights", False),
        ("Max Planck FLAME licence", False),
        ("", False),
    ],
)
def test_commercial_use(licence: str, free: bool) -> None:
    said = commercial_use({"weights": [{"name": "w", "licence": licence}]})
    assert said.startswith("allowed" if free else "ask first") and (free or "w is under" in said)


def test_no_licence_is_not_permission() -> None:
    assert commercial_use({}).startswith("unknown")
    assert commercial_use({"weights": [{"name": "w"}]}).startswith("ask first")


def test_a_picture_carries_the_mark(tmp_path: Path) -> None:
    save_png(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8), png_metadata(INFO))
    with Image.open(tmp_path / "a.png") as im:
        text = im.text  # type: ignore[attr-defined]
        assert text["Comment"] == SYNTHETIC and text["Consent"] == "Yes — Åsa"
        assert "compositeSynthetic" in text["XML:com.adobe.xmp"]


def test_every_kind_of_file_says_it() -> None:
    assert "synthetic" in video_text(INFO)["comment"] and "Åsa" in video_text(INFO)["comment"]
    assert "synthetic" in video_text({})["comment"]
    assert facts(INFO)["consent"] == INFO["consent"] and "consent" not in facts({})
    lines = header_lines(INFO)
    assert "synthetic" in lines[0] and lines[1].startswith("licence: head") and "Åsa" in lines[-1]
