"""Pairs of photographs: other people than those trained on, other photographs, in colour."""

from __future__ import annotations

import json
from pathlib import Path

from headcast.evaluate.photo_pairs import photo_pairs


def test_only_strangers_in_two_photographs(tmp_path: Path) -> None:
    assert photo_pairs(tmp_path) == []
    for folder, head, lines in (
        (
            "portraits",
            "id,bioguide,same_photo_as_public_domain",
            ["p1,A,no", "p2,B,no", "p3,C,yes", "p4,D,no", "p5,E,uncertain", "p6,,no"],
        ),
        (
            "portraits_pd",
            "id,bioguide,black_and_white",
            ["q1,A,no", "q2,B,no", "q3,C,no", "q4,D,yes", "q5,E,no"],
        ),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.csv").write_text("\n".join([head, *lines]) + "\n")
    (tmp_path / "splits.json").write_text(json.dumps({"train": ["q2"]}))
    (found,) = photo_pairs(tmp_path)
    assert found == ("A", tmp_path / "portraits" / "p1.jpg", tmp_path / "portraits_pd" / "q1.jpg")
