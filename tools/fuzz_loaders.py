"""Feed damaged files to every loader: each must give a result or one line of HeadcastError, in bounds.

Valid small files are mutated on the level of bytes, text, JSON, zip entries, array headers and safetensors
headers. Every input is read in a child process with a limit of time and memory; its number and the run's seed
give it back: ``--only TARGET --first N --inputs 1 --keep FOLDER`` writes it again.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from headcast.errors import HeadcastError

Folder = dict[str, bytes]
"""Files of one input by name."""

SECONDS = 10.0
MEMORY = 1 << 31  # bytes of address space that one input may add
EXHAUSTED = "too large for the available memory"

WEIRD_JSON: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 10**30, 1e308, "", "x", "\ud800", "\0\n\x1b[2J", "a" * 5000),
    *([], {}, [[]], [None] * 3, {"x": {}}, [1e400], ["NaN"]),
)
WEIRD_NUMBERS = (
    "nan",
    "inf",
    "-1",
    "0",
    "1e309",
    "9" * 400,
    "",
    "x",
    "0x10",
    "1,5",
    "-0",
    "1e-320",
    "\ufffd",
)
WEIRD_SHAPES = ("(1099511627776,)", "(-1,)", "()", "(0,)", "(2, 3, 5)", "(1,) * 9", "(True,)", "None")
WEIRD_TYPES = ("|O", "<U5", "<c16", ">f4", "<M8[s]", "|V9", "<f16", "", "[('a','<f4')]")
SPECIAL = (b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\x80", b"\xff" * 8, b"PK\3\4")
NUMBER = re.compile(rb"-?\d+\.?\d*(?:[eE][-+]?\d+)?")
TEXTS = (".json", ".csv", ".obj", ".txt")


class Target(NamedTuple):
    """One loader: its valid inputs, and what reads them (the file if there is one, else the folder)."""

    seeds: Callable[[], list[Folder]]
    load: Callable[[Path], object]


class Finding(NamedTuple):
    """An input that did something else than give a result or one line."""

    target: str
    number: int
    what: str


def mutate(rng: random.Random, name: str, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Return a damaged copy of a file's content; its name's ending says what it is."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        try:
            data = mutation(rng, name)(rng, data)
        except Exception:  # what an earlier round damaged no longer parses
            data = mutate_bytes(rng, data)
    if others and rng.random() < 0.05:
        other = rng.choice(others)
        data = data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]
    return data


def mutation(rng: random.Random, name: str) -> Callable[[random.Random, bytes], bytes]:
    """Choose a mutation that fits a file's ending."""
    suffix = Path(name).suffix
    if rng.random() < 0.25:
        return mutate_bytes
    if suffix == ".json":
        return rng.choice((mutate_json, mutate_json, mutate_text))
    if suffix in TEXTS:
        return mutate_text
    if suffix in (".avatar", ".npz", ".zip", ".pth"):
        return mutate_zip
    return {".safetensors": mutate_safetensors, ".npy": mutate_npy}.get(suffix, mutate_bytes)


def mutate_bytes(rng: random.Random, data: bytes) -> bytes:
    """Cut, flip, overwrite, insert, delete or repeat bytes, mostly near the ends."""
    out = bytearray(data)
    reach = rng.choice((40, 400, max(len(out), 1)))
    at = min(rng.randrange(reach), len(out))
    if rng.random() < 0.3:
        at = len(out) - at
    kind = rng.randrange(6)
    if kind == 0:
        del out[at:]
    elif kind == 1 and at < len(out):
        out[at] ^= 1 << rng.randrange(8)
    elif kind == 2:
        special = rng.choice(SPECIAL)
        out[at : at + len(special)] = special
    elif kind == 3:
        out[at:at] = rng.randbytes(rng.randrange(1, 9))
    elif kind == 4:
        del out[at : at + rng.randrange(1, 64)]
    else:
        out[at:at] = out[at : at + 64] * rng.randrange(1, 20)
    return bytes(out)


def mutate_text(rng: random.Random, data: bytes) -> bytes:
    """Replace a number, drop, repeat or swap lines."""
    found = list(NUMBER.finditer(data))
    lines = data.split(b"\n")
    kind = rng.randrange(4)
    if kind <= 1 and found:
        m = rng.choice(found)
        return data[: m.start()] + rng.choice(WEIRD_NUMBERS).encode() + data[m.end() :]
    i = rng.randrange(len(lines))
    if kind == 2:
        del lines[i]
    else:
        lines[i:i] = [lines[rng.randrange(len(lines))]] * rng.randrange(1, 4)
    return b"\n".join(lines)


def mutate_json(rng: random.Random, data: bytes) -> bytes:
    """Replace, remove or nest one value anywhere in a JSON document."""
    root = [json.loads(data)]
    places: list[tuple[Any, Any]] = [(root, 0)]
    stack: list[Any] = [root[0]]
    while stack:
        x = stack.pop()
        keys = list(x) if isinstance(x, dict) else range(len(x)) if isinstance(x, list) else ()
        for k in keys:
            places.append((x, k))
            stack.append(x[k])
    holder, key = rng.choice(places)
    kind = rng.randrange(8)
    if kind == 0 and holder is not root:
        del holder[key]
    elif kind == 1:
        holder[key] = [holder[key]] * rng.randrange(1, 3)
    elif kind == 2 and isinstance(holder, dict):
        holder[rng.choice(("x", "", "\ud800", str(key) * 3))] = holder.pop(key)
    else:
        holder[key] = rng.choice(WEIRD_JSON)
    return json.dumps(root[0]).encode()


def mutate_zip(rng: random.Random, data: bytes) -> bytes:
    """Change, drop, double, rename or pack an entry; or flip flags of the central directory."""
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        entries = [(i.filename, z.read(i)) for i in z.infolist()]
    k = rng.randrange(len(entries))
    name, content = entries[k]
    kind = rng.randrange(10)
    if kind == 0:
        del entries[k]
    elif kind == 1:
        entries.append((name, content))
    elif kind == 2:
        entries[k] = (rng.choice(("../x", "/etc/x", name + "\0", "a" * 300, "\ufffd", name.upper())), content)
    elif kind == 3:
        entries[k] = (name, bytes(len(content) * rng.choice((1, 50))))
    else:
        entries[k] = (name, mutate(rng, name, content))
    out = io.BytesIO()
    packed = zipfile.ZIP_DEFLATED if rng.random() < 0.3 else zipfile.ZIP_STORED
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # doubled names
        with zipfile.ZipFile(out, "w", packed) as z:
            for n, c in entries:
                z.writestr(n, c)
    made = bytearray(out.getvalue())
    if rng.random() < 0.15:  # encryption, methods, sizes, names' encoding
        at = made.find(b"PK\1\2") if rng.random() < 0.7 else made.find(b"PK\3\4")
        made[at + rng.randrange(4, 46)] ^= 1 << rng.randrange(8)
    return bytes(made)


def mutate_safetensors(rng: random.Random, data: bytes) -> bytes:
    """Change the JSON header and state its length again."""
    (size,) = struct.unpack("<Q", data[:8])
    header = data[8 : 8 + size]
    changed = mutate_json(rng, header) if rng.random() < 0.7 else mutate_text(rng, header)
    length = len(changed) if rng.random() < 0.95 else rng.choice((0, 1 << 40, size - 1))
    return struct.pack("<Q", length) + changed + data[8 + size :]


def mutate_npy(rng: random.Random, data: bytes) -> bytes:
    """Change shape or type in an array's header."""
    (size,) = struct.unpack("<H", data[8:10])
    header = data[10 : 10 + size].decode("latin-1")
    if rng.random() < 0.5:
        header = re.sub(r"\([^)]*\)", lambda _: rng.choice(WEIRD_SHAPES), header)
    else:
        header = re.sub(r"'descr': '[^']*'", lambda _: f"'descr': '{rng.choice(WEIRD_TYPES)}'", header)
    return data[:8] + struct.pack("<H", len(header)) + header.encode("latin-1") + data[10 + size :]


def make_input(seeds: Sequence[Folder], target: str, seed: int, number: int) -> Folder:
    """Make one input; the same numbers give the same input."""
    rng = random.Random(f"{target} {seed} {number}")
    files = dict(rng.choice(seeds))
    if number:  # number 0 is a valid input
        name = rng.choice(list(files))
        files[name] = mutate(rng, name, files[name], [s[name] for s in seeds if name in s])
    return files


def write_input(files: Folder, place: Path) -> Path:
    """Write an input's files; return the path to be read."""
    shutil.rmtree(place, ignore_errors=True)
    for name, data in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return place / next(iter(files)) if len(files) == 1 else place


def complaint(load: Callable[[Path], object], path: Path, is_valid: bool = False) -> str | None:
    """Return what is wrong with how a loader takes an input; None: a result, or (if not valid) one line."""
    try:
        load(path)
    except HeadcastError as e:
        text = str(e)
        if is_valid:
            return f"a valid input is refused: {text[:200]}"
        if EXHAUSTED in text:
            return "memory: it was exhausted, not bounded"
        if "\n" in text or len(text) > 1000:
            return f"message: {text[:200]!r}"
    except Exception as e:
        frames = traceback.extract_tb(e.__traceback__)
        own = [f for f in frames if "headcast" in f.filename and "fuzz" not in f.filename] or frames
        return f"{type(e).__name__}: {str(e)[:100]} ({Path(own[-1].filename).name}:{own[-1].lineno})"
    return None


def limit_memory(extra: int) -> None:
    """Limit this process to its present address space and ``extra`` bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def in_child(work: Callable[[Callable[[str], None]], None], memory: int) -> tuple[list[str], int]:
    """Run ``work(say)`` in a child process; return the lines that it said and how it ended (wait status)."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            os.close(reading)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            limit_memory(memory)
            faulthandler.disable()
            work(lambda line: (os.write(writing, line.encode(errors="replace") + b"\n"), None)[1])
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().decode(errors="replace").splitlines()
    return lines, os.waitpid(process, 0)[1]


def fuzz_target(name: str, target: Target, numbers: range, seed: int, seconds: float) -> Iterator[Finding]:
    """Yield the findings of one target over a range of inputs."""
    seeds = target.seeds()
    first = numbers.start
    while first < numbers.stop:

        def work(say: Callable[[str], None], start: int = first) -> None:
            with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for i in range(start, numbers.stop):
                    path = write_input(make_input(seeds, name, seed, i), Path(folder) / "input")
                    say(f"{i}")
                    signal.setitimer(signal.ITIMER_REAL, seconds)  # its default ends the process
                    found = complaint(target.load, path, is_valid=i == 0)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    if found:
                        say(f"{i} {' '.join(found.split())}")

        lines, status = in_child(work, MEMORY)
        last = first
        for line in lines:
            number, _, what = line.partition(" ")
            last = int(number)
            if what:
                yield Finding(name, last, what)
        if status == 0:
            return
        ended = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "an exit"
        yield Finding(name, last, f"over {seconds:g} s" if ended == "SIGALRM" else f"ended by {ended}")
        first = last + 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000, help="inputs of each target")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=None, help="seed of the run; default: a new one, printed")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="limit of one input")
    parser.add_argument("--only", nargs="*", help="targets; default: all")
    parser.add_argument("--keep", type=Path, help="folder where the inputs that found something are written")
    args = parser.parse_args(arguments)
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from fuzzing.targets import TARGETS

    unknown = sorted(set(args.only or ()) - set(TARGETS))
    if unknown:
        raise SystemExit(f"--only {unknown[0]}: unknown; there are {', '.join(TARGETS)}")
    seed = random.SystemRandom().randrange(1 << 32) if args.seed is None else args.seed
    print(f"seed {seed}, {args.inputs} inputs of each target, {MEMORY >> 30} GB, {args.seconds:g} s")
    start, count = time.perf_counter(), 0
    for name in args.only or TARGETS:
        began = time.perf_counter()
        numbers = range(args.first, args.first + args.inputs)
        found = list(fuzz_target(name, TARGETS[name], numbers, seed, args.seconds))
        count += len(found)
        print(f"{name:20} {len(found):4} findings {time.perf_counter() - began:7.1f} s", flush=True)
        for finding in found[:20]:
            print(f"  {finding.number}: {finding.what}", flush=True)
            if args.keep:
                files = make_input(TARGETS[name].seeds(), name, seed, finding.number)
                write_input(files, args.keep / f"{name}-{finding.number}")
    total = args.inputs * len(args.only or TARGETS)
    print(f"{total} inputs, {count} findings, {time.perf_counter() - start:.0f} s")
    return 1 if count else 0


if __name__ == "__main__" and main():
    sys.exit(1)
