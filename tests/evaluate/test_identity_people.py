"""Who trains the identity network and who is measured: rights, splits, halves."""

from __future__ import annotations

from pathlib import Path

from headcast.evaluate.identity_people import held_people, training_photos

TABLES = {
    "london": (
        "file,person,split",
        ["a.jpg,1,train", "b.jpg,1,train", "c.jpg,2,validation", "d.jpg,2,validation"],
    ),
    "house118": (
        "id,bioguide,split",
        [*(f"h{k},H{k},train" for k in range(8)), "hx,X,train", "hv,V,validation"],
    ),
    "portraits_pd": (
        "id,bioguide,split,black_and_white",
        ["gx,X,train,no", "gv,V,validation,no", "gb,B,train,yes", "ge,E,none,no"],
    ),
    "portraits": (
        "id,bioguide,split,same_photo_as_public_domain",
        [
            *(f"p{k},H{k},none,no" for k in range(8)),
            "px,X,none,no",
            "pv,V,none,uncertain",
            "pe,E,evaluation,no",
        ],
    ),
}


def write_tables(folder: Path) -> None:
    """Write the tables of small data sets."""
    for name, (head, lines) in TABLES.items():
        (folder / name).mkdir()
        (folder / name / f"{name}.csv").write_text("\n".join([head, *lines]) + "\n")


def test_nobody_trains_and_is_measured(tmp_path: Path) -> None:
    write_tables(tmp_path)
    trained = training_photos(tmp_path)
    held = held_people(tmp_path)
    assert not {p.person for p in trained} & {p.person for p in held}
    assert {p.path.stem for p in trained if p.person == "X"} == {"hx", "gx"}  # both may train: kept
    assert not any(p.folder == "portraits" or p.path.stem == "gb" for p in trained)


def test_half_of_those_with_a_second_photograph_without_rights_are_kept_out(tmp_path: Path) -> None:
    write_tables(tmp_path)
    out = [p for p in held_people(tmp_path) if p.person.startswith("H")]
    assert 0 < len(out) < 8
    assert all({x.stem[0] for x in p.photos} == {"h", "p"} for p in out)


def test_copies_of_a_photograph_do_not_count(tmp_path: Path) -> None:
    write_tables(tmp_path)
    held = {p.person: p for p in held_people(tmp_path)}
    assert {x.stem for x in held["V"].photos} == {"hv", "gv"}  # pv may be gv again
    assert {x.stem for x in held["E"].photos} == {"ge", "pe"}
    assert held["london 2"].same_day and not held["V"].same_day
    assert held["V"].half == {p.person: p.half for p in held_people(tmp_path)}["V"]
