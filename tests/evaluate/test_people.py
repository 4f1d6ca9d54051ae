"""Groups of real people: splits, thirds of skin tone, hair."""

from __future__ import annotations

from pathlib import Path

from headcast.evaluate.data import skin_thirds
from headcast.evaluate.people import (
    HAIR,
    TUNING,
    group_people,
    split_groups,
    split_note,
    typology_angles,
)
from headcast.evaluate.report import Report


def test_splits() -> None:
    names = ["031", "032", "033", "039"]
    assert split_groups(names, TUNING["multiview"]) == {
        "split: reported": ["033", "039"],
        "split: tuning": ["031", "032"],
    }
    assert split_note(names, TUNING["multiview"]) == "reported: 033, 039; tuning: 031, 032"
    assert len(TUNING["multiview"]) == 8 and len(TUNING["smile"]) == 6


def test_thirds_go_from_dark_to_light() -> None:
    angles = {"a": 50.0, "b": -20.0, "c": 10.0, "d": 30.0, "e": 55.0, "f": 12.0, "g": 60.0}
    found = skin_thirds(angles)
    assert list(found.values()) == [["b", "c", "f"], ["d", "a"], ["e", "g"]]
    assert next(iter(found)) == "skin: darkest third (-20° to 12° ITA)"
    assert list(skin_thirds({"a": 1.0}).values()) == [["a"]] and skin_thirds({}) == {}


def test_all_groups(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("id,glasses\n036,no\nL120,no\n999,yes\n")
    found = group_people(tmp_path, ["036", "L120"], ("036",), {"036": 40.0, "L120": 50.0, "999": 0.0})
    assert found["hair: tied"] == ["036"] and found["hair: long"] == ["L120"] and "hair: short" not in found
    assert found["glasses: no"] == ["036", "L120"] and "glasses: yes" not in found
    assert list(found)[:2] == ["split: reported", "split: tuning"]
    assert "999" not in {n for people in found.values() for n in people}


def test_everybody_has_one_kind_of_hair() -> None:
    people = [n for kind in HAIR.values() for n in kind]
    assert len(people) == len(set(people)) == 15 + 12


def test_angles_come_from_rows() -> None:
    report = Report(protocol="multiview", figures={})
    report.add("still", "a", [{"typology": 41.0}, {"typology": 41.0}])
    report.add("fit", "a", [{"lost": 1.0, "typology": 41.0}])
    report.add("fit", "b", [{"lost": 1.0}])
    assert typology_angles(report) == {"a": 41.0}
