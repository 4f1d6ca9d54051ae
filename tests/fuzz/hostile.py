"""Files made to hang or exhaust a loader, or to end it with a traceback.

``python -m tests.fuzz.hostile`` lists what becomes of each.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import signal
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tools.fuzz_loaders import complaint, in_child

MEMORY = 5 << 28  # bytes that one case may add
CPU_SECONDS, WALL_SECONDS = 5.0, 60.0
PRIME = (1 << 61) - 1  # Python's integers hash modulo this


class Case(NamedTuple):
    """A hostile input: what makes it in a folder, what reads it, and whether it is read after all."""

    make: Callable[[Path], Path]
    load: Callable[[Path], object]
    is_read: bool = False


def written(name: str, data: bytes | Callable[[], bytes]) -> Callable[[Path], Path]:
    """Return what writes one file into a folder."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data if isinstance(data, bytes) else data())
        return path

    return make


# ---- pickles


def pack_integer(n: int) -> bytes:
    """Pack an integer of any size."""
    raw = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def doubled(times: int) -> bytes:
    """A list that holds another twice, which holds another twice ..."""
    held = [b"h" + bytes([k]) for k in range(times + 1)]
    lists = b"".join(b"](" + h + h + b"eq" + bytes([k + 1]) for k, h in enumerate(held[:-1]))
    return b"]q\0" + lists + b"0" * (times + 1) + held[-1]


def named(name: str) -> bytes:
    """Push a function by its dotted name."""
    module, _, attribute = name.rpartition(".")
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def chumpy_of(value: bytes) -> bytes:
    """An array of chumpy whose values are something else."""
    return b"\x80\x02" + named("chumpy.ch.Ch") + b")\x81}X\x01\0\0\0x" + value + b"sb."


def nested_storages() -> bytes:
    """A storage pickled as bytes that holds two such, and so on: 2^24 to open."""
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    data = magic + b"\x80\x02N." + pickle.dumps([], 2)
    for _ in range(24):
        call = named("torch.storage._load_from_bytes") + b"h\0\x85R0"
        body = b"\x80\x02B" + struct.pack("<I", len(data)) + data + b"q\0" + call + call + b"N."
        data = magic + body + pickle.dumps([], 2)
    return body


def colliding_keys() -> bytes:
    """A dictionary whose keys all have the same hash."""
    return b"}(" + b"".join(pack_integer(n * PRIME) + b"N" for n in range(1, 60_000)) + b"u."


def colliding_memo() -> bytes:
    """A memo whose numbers all have the same hash."""
    return b"N" + b"".join(b"p%d\n" % (n * PRIME) for n in range(1, 60_000)) + b"."


def long_calls(name: str) -> bytes:
    """A list of 100,000 pairs that is copied by 20,000 calls."""
    body = b"K\1N\x86q\1](" + b"h\1" * 100_000 + b"eq\0\x85q\2"
    return body + (named(name) + b"h\2R0") * 20_000 + b"N."


def long_shapes() -> bytes:
    """An array's shape of 20,000 large numbers, multiplied by 20,000 arrays."""
    shape = b"(" + pack_integer(1 << 900) * 20_000 + b"tq\0"
    reconstruct = named("numpy.core.multiarray._reconstruct") + b"(NtR"
    array = reconstruct + b"(K\1h\0" + named("numpy.dtype") + b"(X\2\0\0\0f4tR\x89C\0tb0"
    return shape + array * 20_000 + b"N."


def module_maze() -> bytes:
    """A network whose modules hold the next one twice: 2^60 modules."""
    level = b"}q\0"
    for k in range(60):
        child = b"h" + bytes([k])
        modules = b"}(X\1\0\0\0a" + child + b"X\1\0\0\0b" + child + b"u"
        level += named("x.Module") + b")\x81}X\x08\0\0\0_modules" + modules + b"sbq" + bytes([k + 1])
    return b"\x80\x02" + level + b"q\xff0}X\5\0\0\0G_emah\xffs."


def load_pickle(path: Path) -> None:
    """Open a model file as the doctor and the importers do."""
    from headcast.pickles import load_restricted

    load_restricted(path, keep_unknown=True)


def spelled_out(path: Path) -> None:
    """Let the doctor look at a file; its problem counts as a refusal."""
    from headcast.doctor.modelfiles import identify
    from headcast.errors import HeadcastError

    found = identify(path)
    if found.problem:
        raise HeadcastError(f"{path}: {found.problem}")


# ---- archives


def zip_bytes(entries: dict[str, bytes], packed: bool = True) -> bytes:
    """Write a zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as z:
        for name, data in entries.items():
            z.writestr(name, data)
    return out.getvalue()


def flagged(data: bytes, bit: int) -> bytes:
    """Set a bit of the first entry's flags in both places."""
    out = bytearray(data)
    out[out.find(b"PK\3\4") + 6] |= bit
    out[out.find(b"PK\1\2") + 8] |= bit
    return bytes(out)


def undecodable() -> bytes:
    """A zip archive whose entry's name says that it is UTF-8 and is not."""
    return zip_bytes({"éa": b"x"}).replace("éa".encode(), b"\xff\xfea")


def many_entries() -> bytes:
    """An archive whose list of entries is 120 MB of a file that packs to nothing."""
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    listed = entry * 2_500_000
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(listed), 0, 0)
    return listed + end


def npy(shape: str, data: bytes = b"", kind: str = "<f8") -> bytes:
    """An array's file of any claim."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


def huge_arrays(name: str, gigabytes: int) -> Callable[[Path], Path]:
    """Return what writes an npz whose array unfolds to some GB of zeros; its checksum is left out."""

    def make(folder: Path) -> Path:
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        head = npy(f"({gigabytes << 27}, 1)")
        start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
        zeros = packer.compress(bytes(1 << 26)) + packer.flush(zlib.Z_FULL_FLUSH)
        data = start + zeros * (gigabytes << 4) + packer.flush()
        title = f"{name}.npy".encode()
        sizes = (len(data), len(head) + (gigabytes << 30))
        facts = struct.pack("<5H3I2H", 20, 0, 8, 0, 0, 0, *sizes, len(title), 0)
        local = b"PK\3\4" + facts + title + data
        listed = b"PK\1\2" + struct.pack("<H", 20) + facts + struct.pack("<3H2I", 0, 0, 0, 0, 0) + title
        end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(listed), len(local), 0)
        path = folder / "huge.npz"
        path.write_bytes(local + listed + end)
        return path

    return make


def read_motion(path: Path) -> None:
    """Read a sequence of FLAME parameters."""
    from headcast.motion.flame_npz import read_file

    read_file(path)


def read_flame_head(path: Path) -> None:
    """Read FLAME's arrays."""
    from headcast.head.flame import read_flame

    read_flame(path)


# ---- avatars


def black_png(width: int, height: int, channels: int = 3) -> bytes:
    """A black image that packs to little."""
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + width * channels)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def avatar(change: dict[str, Any] | None = None, entries: dict[str, bytes] | None = None) -> bytes:
    """A small mesh avatar, with changes to avatar.json and further entries."""
    import torch
    from safetensors.torch import save

    from headcast.avatar.source import SourceView
    from headcast.camera import Camera
    from headcast.head.model import HeadModel
    from headcast.head.params import HeadParams
    from headcast.head.skin import uv_key

    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, 0.0, -1.0]))
    source = SourceView(Camera.make(500.0, 64, 64), params, torch.ones(9, 3))
    tensors = {
        k: v.contiguous() for k, v in {**source.tensors(), "rest": head.shape(params.identity)}.items()
    }
    meta = {
        "format": "headcast-avatar",
        "version": 2,
        "kind": "mesh",
        "method": "fit",
        "head": {"name": head.name, "hash": head.hash, "topology": uv_key(head)},
        **(change or {}),
    }
    whole = {
        "avatar.json": json.dumps(meta).encode(),
        "tensors.safetensors": save(tensors),
        "textures/albedo.png": black_png(16, 16),
        **(entries or {}),
    }
    return zip_bytes(whole, packed=False)


def load_avatar(path: Path) -> None:
    """Open an avatar and write down what it says."""
    from headcast.avatar.base import load_avatar as load

    json.dumps(load(path).info, ensure_ascii=False).encode()


def unused_images() -> bytes:
    """An avatar with 17 images of 8192 x 8192 that its kind never asks for: 4.6 GB when decoded."""
    image = black_png(8192, 8192, 4)
    return avatar(entries={f"textures/shell-{chr(97 + k)}.png": image for k in range(17)})


# ---- images, special files


def float_image(folder: Path) -> Path:
    """A TIFF of 10,000 x 10,000 floats, packed."""
    from PIL import Image

    path = folder / "float.tif"
    Image.new("F", (10_000, 10_000), 0.5).save(path, compression="tiff_adobe_deflate")
    return path


def long_animation(folder: Path) -> Path:
    """A GIF of 300,000 frames."""
    from PIL import Image

    out = io.BytesIO()
    small = Image.new("P", (64, 64))
    small.save(out, "GIF", save_all=True, append_images=[Image.new("P", (64, 64), 1)], duration=50)
    data = out.getvalue()
    at = data.rfind(b"!\xf9")
    path = folder / "long.gif"
    path.write_bytes(data[:at] + data[at:-1] * 300_000 + b";")
    return path


def load_photo(path: Path) -> None:
    """Read an image."""
    from headcast.image import load_image

    load_image(path)


def link_to_zero(name: str) -> Callable[[Path], Path]:
    """Return what makes an endless file of a name."""

    def make(folder: Path) -> Path:
        (folder / name).symlink_to("/dev/zero")
        return folder / name

    return make


def fifo(name: str) -> Callable[[Path], Path]:
    """Return what makes a pipe that nobody writes to."""

    def make(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return folder / name

    return make


def sparse(name: str, head: bytes = b"") -> Callable[[Path], Path]:
    """Return what makes a file of 1 TB that takes no space."""

    def make(folder: Path) -> Path:
        path = folder / name
        with path.open("wb") as f:
            f.write(head)
            f.truncate(1 << 40)
        return path

    return make


def readers() -> dict[str, tuple[str, Callable[[Path], object]]]:
    """Loaders of whole files, with the name of a file that each takes."""

    def tensors(path: Path) -> None:
        from headcast.weights import load_tensors

        load_tensors(path)

    def mesh(path: Path) -> None:
        from headcast.methods.uhr_texture.geometry import read_obj

        read_obj(path)

    def camera(path: Path) -> None:
        from headcast.methods.uhr_texture.geometry import read_camera

        read_camera(path)

    def capture(path: Path) -> None:
        from headcast.training.captures import read_json_object

        read_json_object(path)

    def skin_map(path: Path) -> None:
        from headcast.evaluate.texture import read_map

        read_map(path)

    return {
        "pickle": ("a.pkl", load_pickle),
        "checkpoint": ("a.pth", load_pickle),
        "doctor's npz": ("a.npz", spelled_out),
        "avatar": ("a.avatar", load_avatar),
        "safetensors": ("a.safetensors", tensors),
        "image": ("a.png", load_photo),
        "skin map": ("a.png", skin_map),
        "OBJ": ("a.obj", mesh),
        "camera JSON": ("a.json", camera),
        "capture JSON": ("a.json", capture),
        "FLAME motion": ("a.npz", read_motion),
        "FLAME npz": ("a.npz", read_flame_head),
    }


def with_card(card: bytes) -> Callable[[Path], Path]:
    """Return what writes weights with a card."""

    def make(folder: Path) -> Path:
        from safetensors.numpy import save

        (folder / "a.safetensors").write_bytes(save({"a": np.zeros(3)}))
        (folder / "a.json").write_bytes(card)
        return folder / "a.json"

    return make


def load_cards(path: Path) -> None:
    """Read the user's weights."""
    from headcast.weights.store import load_imported

    os.environ["HEADCAST_WEIGHTS"] = str(path.parent)
    load_imported("a")


def training_state(state: bytes) -> Callable[[Path], Path]:
    """Return what writes a run's only checkpoint."""

    def make(folder: Path) -> Path:
        from safetensors.numpy import save

        place = folder / "checkpoints" / "00000012"
        place.mkdir(parents=True)
        for part in ("networks", "averages", "optimizers"):
            (place / f"{part}.safetensors").write_bytes(save({"a": np.zeros(3)}))
        (place / "state.json").write_bytes(state)
        return folder

    return make


def load_state(path: Path) -> None:
    """Resume a run."""
    from headcast.training.checkpoint import load_checkpoint

    load_checkpoint(path)


def load_head(path: Path) -> None:
    """Read a head model, as one from the cache."""
    from headcast.head.model import HeadModel

    HeadModel.load(path)


def damaged_head() -> bytes:
    """A head model's file that holds one tensor."""
    from safetensors.numpy import save

    return save({"neutral": np.zeros((4, 3), np.float32)}, {"head": "{}"})


def create_avatar(consent: str) -> Callable[[Path], object]:
    """Return what creates an avatar with a statement of consent."""

    def load(path: Path) -> None:
        from headcast import api

        api.create(path, consent=consent)

    return load


def write_out(name: str) -> Callable[[Path], object]:
    """Return what checks an output's name."""

    def load(path: Path) -> None:
        from headcast.files import check_writable

        check_writable(path / name)

    return load


WRONG_TYPES: dict[str, Any] = {
    "weights": [[{"name": 3}], "x", 5],
    "warnings": [[1], {"a": 1}],
    "photos": ["2", None, True],
    "method": [None, ["fit"]],
    "head": ["x", [], {"hash": {"a": 1}}],
    "consent": [["yes"], "\ud800"],
    "extra": ["\udfff"],
}

CASES: dict[str, Case] = {
    "pickle: storages nested 2^24 times": Case(written("a.pkl", nested_storages), load_pickle),
    "pickle: array of a list doubled 40 times": Case(written("a.pkl", chumpy_of(doubled(40))), load_pickle),
    "pickle: modules doubled 60 times": Case(written("a.pkl", module_maze), spelled_out),
    "pickle: device of a list doubled 40 times": Case(
        written("a.pkl", doubled(40) + b"\x85q\xff0" + named("torch.device") + b"h\xffR."), load_pickle
    ),
    "pickle: 60,000 keys of one hash": Case(written("a.pkl", colliding_keys), load_pickle),
    "pickle: 60,000 memo numbers of one hash": Case(written("a.pkl", colliding_memo), load_pickle),
    "pickle: long lists copied (OrderedDict)": Case(
        written("a.pkl", lambda: long_calls("collections.OrderedDict")), load_pickle
    ),
    "pickle: long lists copied (set)": Case(
        written("a.pkl", lambda: long_calls("builtins.set")), load_pickle
    ),
    "pickle: long lists copied (Size)": Case(written("a.pkl", lambda: long_calls("torch.Size")), load_pickle),
    "pickle: shapes of 20,000 numbers": Case(written("a.pkl", long_shapes), load_pickle),
    "pickle: 3 million steps": Case(written("a.pkl", b"N0" * 1_500_000 + b"N."), load_pickle),
    "zip: encrypted entry in an avatar": Case(written("a.avatar", lambda: flagged(avatar(), 1)), load_avatar),
    "zip: encrypted checkpoint": Case(
        written("a.pth", flagged(zip_bytes({"a/data.pkl": b"N."}, packed=False), 1)), load_pickle
    ),
    "zip: encrypted npz": Case(
        written("a.npz", flagged(zip_bytes({"expr.npy": npy("(2, 100)", bytes(1600))}), 1)), read_motion
    ),
    "zip: encrypted npz, for the doctor": Case(
        written("a.npz", flagged(zip_bytes({"expr.npy": npy("(2, 100)", bytes(1600))}), 1)), spelled_out, True
    ),
    "zip: undecodable name, for the doctor": Case(written("a.npz", undecodable), spelled_out),
    "zip: undecodable name in a checkpoint": Case(written("a.pth", undecodable), load_pickle),
    "zip: 2.5 million entries": Case(written("a.npz", many_entries), read_motion),
    "zip: 2.5 million entries in an avatar": Case(written("a.avatar", many_entries), load_avatar),
    "npz: 2^40 frames claimed": Case(
        written("a.npz", zip_bytes({"expr.npy": npy("(1099511627776, 100)")})), read_motion
    ),
    "npz: 3 GB of a used array": Case(huge_arrays("jaw_pose", 3), read_motion),
    "npz: 3 GB of an unused array": Case(huge_arrays("shape", 3), read_motion, True),
    "npz: pickled objects": Case(
        written("a.npz", zip_bytes({"expr.npy": npy("(1,)", b"N.", "|O")})), read_motion
    ),
    "avatar: 4.6 GB of unused images": Case(written("a.avatar", unused_images), load_avatar),
    "avatar: huge thumbnail": Case(
        written("a.avatar", lambda: avatar(entries={"thumbnail.png": black_png(8192, 8192, 4)})), load_avatar
    ),
    **{
        f"avatar: {key} is {value!r}": Case(
            written("a.avatar", lambda k=key, v=value: avatar({k: v})), load_avatar
        )
        for key, values in WRONG_TYPES.items()
        for value in values
    },
    "image: TIFF of 100 million floats": Case(float_image, load_photo, True),
    "image: GIF of 300,000 frames": Case(long_animation, load_photo, True),
    **{f"endless: {kind}": Case(link_to_zero(name), load) for kind, (name, load) in readers().items()},
    **{f"pipe: {kind}": Case(fifo(name), load) for kind, (name, load) in readers().items()},
    **{f"1 TB: {kind}": Case(sparse(name), load) for kind, (name, load) in readers().items()},
    "1 TB: pickled bytes": Case(sparse("a.pkl", b"\x8e" + struct.pack("<Q", 1 << 39)), load_pickle),
    "card: no JSON": Case(with_card(b"{"), load_cards),
    "card: a list": Case(with_card(b"[1]"), load_cards),
    "card: half a surrogate pair": Case(with_card(b'{"licence": "\\ud800"}'), load_cards),
    "checkpoint: state without a step": Case(training_state(b"{}"), load_state),
    "checkpoint: a text as step": Case(training_state(b'{"step": "x"}'), load_state),
    "checkpoint: state nested deeply": Case(training_state(b"[" * 100_000), load_state),
    "head: one tensor": Case(written("a.safetensors", damaged_head), load_head),
    "consent: half a surrogate pair": Case(written("a.jpg", b"x"), create_avatar("ja\udcff")),
    "output: a name of 300 bytes": Case(lambda folder: folder, write_out("a" * 300 + ".avatar")),
    "output: a null character": Case(lambda folder: folder, write_out("a\0.avatar")),
}


def outcome(case: Case, folder: Path) -> tuple[str, float]:
    """Read a case's file in a child process of little memory and time; return outcome and CPU seconds."""
    import headcast.avatar.base
    import headcast.doctor.modelfiles
    import headcast.image  # noqa: F401 - imported once, not by every child

    path = case.make(folder)

    def work(say: Callable[[str], None]) -> None:
        import torch

        torch.set_num_threads(1)
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
        refused: list[str] = []

        def load(p: Path) -> None:
            try:
                case.load(p)
            except Exception as e:
                refused.append(str(e))
                raise

        found = complaint(load, path)
        say(found or (f"refused: {refused[0]}" if refused else "read"))

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines, status = in_child(work, MEMORY)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return {"SIGPROF": "hangs", "SIGALRM": "waits for ever"}.get(name, f"killed by {name}"), seconds
    return lines[-1] if lines else f"exit {status}", seconds


def main() -> None:
    """Print what becomes of every case."""
    import tempfile

    import headcast

    print(headcast.__file__)  # noqa: T201
    wanted = sys.argv[1:]
    for name, case in CASES.items():
        if not wanted or any(w in name for w in wanted):
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                text, seconds = outcome(case, Path(folder))
                text = text.replace(folder + "/", "")
                took = time.perf_counter() - start
                print(f"{name} | {text} | {seconds:.1f} | {took:.1f}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
