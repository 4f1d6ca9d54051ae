"""Does a change of the code change what headcast makes? Records everything before and after, and compares.

    PYTHONPATH=OLD/src python tools/compare_outputs.py record before [--quick]
    PYTHONPATH=NEW/src python tools/compare_outputs.py record after [--quick]
    python tools/compare_outputs.py compare before after [--tolerance 1e-6] [--expect 'train.*: reason'] ...

``record`` runs the headcast that PYTHONPATH names through its commands (and ``headcast.api`` where there is
none), one process each with one thread. The same command goes on where it stopped; items recorded by
other code (the package's files are hashed) are recorded anew. ``--quick`` and ``--only 'render.*,synth.*'``
take a part. ``--photos`` names the folder of shared data (training portraits are not part of the project);
without it their items are skipped. OUT/items holds one file an item; OUT/work-* is what the commands wrote
and may be deleted.

``compare`` prints a line an item: ok, DIFFERS (largest |a - b| / max(1, |a|) of two numbers, and where),
MISSING (not recorded after) or NEW; exit code 1 where something differs or is missing. What is meant to
differ is listed by ``--expect 'ITEM: reason'`` or ``'ITEM#PART: reason'`` (patterns, several times); of an
item with a PART the rest must still be the same. Left out are the keys in ``outputs.store.VOLATILE``: dates,
durations, versions. It needs no headcast.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from outputs.catalogue import Entry, catalogue
from outputs.difference import difference
from outputs.inputs import LONDON, PORTRAITS, write_inputs
from outputs.product import Failed, Product, Skipped
from outputs.recipes import recipe_names
from outputs.store import code_of, items_of, load, save

DATA = Path(__file__).resolve().parent.parent.parent / "shared/data"


def record(out: Path, photos: list[Path], only: str, quick: bool, threads: int) -> int:
    """Makes and stores what is not stored yet; gives the number of items that failed."""
    place, code = code_under_test()
    work = (out / f"work-{code}").resolve()
    write_inputs(work / "inputs", training_photos(photos))
    note_scope(out, threads, [])
    product = Product(work, threads)
    say(f"headcast of {place}, {code}")
    wanted = not only or any(p.startswith(("train", "*", "?", "[")) for p in only.split(","))
    names = recipe_names(product) if wanted else []
    entries = [e for e in catalogue(names) if (e.quick or not quick) and chosen(e.name, only)]
    note_scope(out, threads, [e.name for e in entries] if quick or only else None)
    stored = {name for name, path in items_of(out) if code_of(path) == code}
    todo = [e for e in entries if e.name not in stored]
    say(f"{len(entries) - len(todo)} of {len(entries)} items are there already")
    missing = make(todo, product, out, code)
    say(f"{len(todo) - missing} items recorded in {out}, {missing} not")
    return missing


def code_under_test() -> tuple[str, str]:
    """Folder of the package that PYTHONPATH names, and a hash of its files."""
    where = "import headcast, pathlib; print(pathlib.Path(headcast.__file__).parent)"
    done = subprocess.run([sys.executable, "-c", where], capture_output=True, text=True, check=True)
    folder, digest = Path(done.stdout.strip()), hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        digest.update(f"{path.relative_to(folder)} ".encode() + path.read_bytes())
    return str(folder), digest.hexdigest()[:12]


def make(todo: list[Entry], product: Product, out: Path, code: str) -> int:
    """Makes items one after the other, telling how far it is; gives how many failed."""
    start, done, failed, whole = time.monotonic(), 0.0, 0, sum(e.cost for e in todo)
    for i, entry in enumerate(todo):
        passed = time.monotonic() - start
        left = (
            f"{passed / done * (whole - done) / 60:.1f} min left"
            if done
            else f"{whole / 60:.1f} min left or more"
        )
        say(f"[{i + 1}/{len(todo)}, {left}] {entry.name}")
        try:
            save(out / "items" / f"{entry.name}.zip", entry.make(product), code)
        except Skipped as e:
            say(f"  skipped: {e}")
        except Failed as e:
            failed += 1
            say(f"  FAILED: {e}")
        done += entry.cost
    return failed


def training_photos(given: list[Path]) -> list[Path]:
    """Photos of people, from the folder of shared data or as named; none where it isn't there."""
    if len(given) == 1 and given[0].is_dir():
        folder = given[0]
        if not (folder / "splits.json").is_file():
            say(f"{folder}: no training portraits here; items that need them are skipped (see --photos)")
            return []
        people = json.loads((folder / "splits.json").read_text())["train"]
        if missing := set(PORTRAITS) - set(people):
            raise SystemExit(f"{folder}/splits.json: {', '.join(sorted(missing))} not in split train")
        found = [folder / f"portraits_pd/{p}.jpg" for p in PORTRAITS]
        return [p for p in (*found, *(folder / f"london/{p}.jpg" for p in LONDON)) if p.is_file()]
    missing = [p for p in given if not p.exists()]
    if missing:
        say(f"{missing[0]}: not here; items that need training portraits are skipped (see --photos)")
    return [p for p in given if p.is_file()]


def note_scope(out: Path, threads: int, names: list[str] | None) -> None:
    """Notes what a folder is to hold (None: everything), so that what is missing is known to be missing.

    A folder holds records of one number of threads: sums differ otherwise.
    """
    path, facts = out / "record.json", {"threads": threads, "scope": []}
    if path.is_file():
        facts |= json.loads(path.read_text())
    if facts["threads"] != threads:
        raise SystemExit(f"{path}: recorded with {facts['threads']} threads; choose another folder")
    known = facts["scope"]
    facts["scope"] = None if names is None or known is None else sorted({*known, *names})
    path.write_text(json.dumps(facts) + "\n")


def not_asked_for(out: Path, names: Iterable[str]) -> set[str]:
    """Which of these items a partial record was not asked for."""
    path = out / "record.json"
    scope = json.loads(path.read_text()).get("scope") if path.is_file() else None
    return set() if scope is None else set(names) - set(scope)


def compare(before: Path, after: Path, tolerance: float, only: str, expected: dict[str, str]) -> int:
    """Prints a line an item; gives the number of differences that nobody expected."""
    old, new = dict(items_of(before)), dict(items_of(after))
    if len(states := {code_of(path) for path in new.values()}) > 1:
        print(f"{after}: recorded by {len(states)} states of the code; record it again for a final word")
    unasked = not_asked_for(after, old.keys() - new.keys())
    words: Counter[str] = Counter()
    for name in sorted(n for n in old.keys() | new.keys() if n not in unasked and chosen(n, only)):
        outcome, line = judged(name, old.get(name), new.get(name), tolerance, expected)
        words[outcome] += 1
        print(f"{name:<36} {outcome:<8} {line}".rstrip(), flush=True)
    if unasked:
        print(f"{len(unasked)} items of {before} were not asked for when {after} was recorded")
    print(", ".join(f"{n} {word}" for word, n in sorted(words.items())) or "no item")
    return words["DIFFERS"] + words["MISSING"]


def judged(
    name: str, old: Path | None, new: Path | None, tolerance: float, expected: dict[str, str]
) -> tuple[str, str]:
    """Outcome of an item, and words on it."""
    may = {p.partition("#")[2] or "*": r for p, r in expected.items() if matches(name, p.partition("#")[0])}
    if old is None:
        return "NEW", "not recorded before"
    if new is None:
        return ("expected", f"missing: {may['*']}") if "*" in may else ("MISSING", "not recorded after")
    d = difference(load(old), load(new), tolerance, lambda part: any(matches(part, p) for p in may))
    if d.parts:
        return "DIFFERS", f"{d.largest:.3g}  in {len(d.parts)} parts; {d.where}"
    words = f"{d.largest:.3g}" + (f"  {d.where}" if d.largest else "")
    if d.excused:
        reasons = {r for p, r in may.items() if any(matches(part, p) for part in d.excused)}
        return "expected", f"{words}  {len(d.excused)} parts differ: {'; '.join(sorted(reasons))}"
    return "ok", words


def matches(name: str, pattern: str) -> bool:
    """Shell pattern; case counts."""
    return fnmatch.fnmatchcase(name, pattern)


def chosen(name: str, only: str) -> bool:
    """Whether a name matches one of the patterns with commas between; none: every name does."""
    return not only or any(matches(name, pattern) for pattern in only.split(","))


def reasons(words: Iterable[str]) -> dict[str, str]:
    """``pattern: reason`` by pattern."""
    pairs = [w.partition(":") for w in words]
    if bad := [p for p, _, r in pairs if not r.strip()]:
        raise SystemExit(f"--expect {bad[0]}: give item:reason")
    return {p.strip(): r.strip() for p, _, r in pairs}


def say(words: str) -> None:
    """Progress goes to standard error."""
    sys.stderr.write(words + "\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; gives the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    r = verbs.add_parser("record", help="makes and stores everything")
    r.add_argument("out", type=Path)
    r.add_argument("--photos", type=Path, nargs="+", default=[DATA], help="folder of shared data, or photos")
    r.add_argument("--quick", action="store_true", help="a subset of two minutes")
    r.add_argument("--threads", type=int, default=1, help="of each process")
    c = verbs.add_parser("compare", help="compares two records")
    c.add_argument("before", type=Path)
    c.add_argument("after", type=Path)
    c.add_argument("--tolerance", type=float, default=1e-6)
    c.add_argument("--expect", action="append", default=[], help="ITEM[#PART]: reason")
    for p in (r, c):
        p.add_argument("--only", default="", help="items by name or pattern, commas between")
    a = parser.parse_args(arguments)
    if a.verb == "record":
        return int(record(a.out, a.photos, a.only, a.quick, a.threads) > 0)
    return int(compare(a.before, a.after, a.tolerance, a.only, reasons(a.expect)) > 0)


if __name__ == "__main__":
    sys.exit(main())
