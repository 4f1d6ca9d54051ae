"""Foreign pickles: what is rebuilt, and that nothing of a hostile one runs."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.pickles.foreign_files import Ch, Csc, dump

from headcast.errors import HeadcastError
from headcast.pickles import Name, Record, Sparse, load_restricted, state_dict_of


def load(data: bytes, tmp_path: Path, **how: Any) -> Any:
    path = tmp_path / "model.pkl"
    path.write_bytes(data)
    return load_restricted(path, **how)


PLAIN = {
    "text": "grün",
    "bytes": b"\0\xff",
    "number": -(1 << 70),
    "small": [0, 255, 65536, -1],
    "real": 0.1,
    "flags": (True, False, None),
    "set": {1, 2},
    "frozen": frozenset(["a"]),
    "nested": {(1, "a"): [[], ()]},
    "ordered": OrderedDict(a=1),
    "array": np.arange(6, dtype=np.float64).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    "big-endian": np.arange(3, dtype=">f4"),
    "scalar": np.float32(2.5),
    "empty": np.zeros((0, 3)),
}


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_and_arrays_come_back(protocol: int, tmp_path: Path) -> None:
    back = load(pickle.dumps(PLAIN, protocol), tmp_path)
    for key, value in PLAIN.items():
        if isinstance(value, np.ndarray):
            assert back[key].dtype == value.dtype and np.array_equal(back[key], value), key
        else:
            assert back[key] == value, key


def test_python_2_strings_are_latin_1(tmp_path: Path) -> None:
    # protocol 2 of Python 2: SHORT_BINSTRING, in protocol 0 a quoted STRING
    assert load(b"\x80\x02U\x03a\xe9b.", tmp_path) == "aéb"
    assert load(b"S'a\\xe9b'\np0\n.", tmp_path) == "aéb"


def test_a_shared_array_stays_shared(tmp_path: Path) -> None:
    a = np.ones(3)
    back = load(pickle.dumps([a, a, {"a": a}]), tmp_path)
    assert back[0] is back[1] is back[2]["a"]


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_chumpy_and_scipy_are_rebuilt_without_them(protocol: int, tmp_path: Path) -> None:
    dense = np.zeros((5, 7))
    dense[[0, 4, 4], [1, 1, 6]] = 1.0, 2.0, 3.0
    before = set(sys.modules)  # other tests may have imported scipy
    back = load(dump({"shape": Ch(np.eye(3)), "regressor": Csc(dense)}, protocol), tmp_path)
    assert np.array_equal(back["shape"], np.eye(3))
    assert isinstance(back["regressor"], Sparse) and np.array_equal(back["regressor"].dense(), dense)
    assert not [name for name in set(sys.modules) - before if name.startswith(("chumpy", "scipy"))]


def checkpoint() -> dict[str, Any]:
    w = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    return {
        "state": OrderedDict(
            weight=w,
            transposed=w.T,
            part=w[1:, ::2],
            half=w.half(),
            brain=w.bfloat16(),
            count=torch.tensor(7),
            none=torch.zeros(0, 3),
            parameter=torch.nn.Parameter(w + 1),
            mask=w > 3,
        ),
        "epoch": 3,
        "size": w.shape,
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_checkpoints_come_back(zipped: bool, tmp_path: Path) -> None:
    path, wanted = tmp_path / "net.pth", checkpoint()
    torch.save(wanted, path, _use_new_zipfile_serialization=zipped)
    back = load_restricted(path)
    assert back["epoch"] == 3 and back["size"] == (3, 4)
    for key, value in wanted["state"].items():
        assert back["state"][key].dtype == value.dtype, key
        assert torch.equal(back["state"][key], value), key
    assert back["state"]["weight"].data_ptr() == back["state"]["transposed"].data_ptr()


class Persistent:
    """As StyleGAN keeps its networks: source code and attributes, to be run when unpickled."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.meta = {"module_src": "import os; os.abort()", "class_name": "Net", "state": module.__dict__}

    def __reduce__(self) -> tuple:
        return sys.exit, (self.meta,)


def small_network() -> torch.nn.Module:
    inner = torch.nn.Sequential(torch.nn.PReLU())
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), inner)
    net.register_buffer("kept", torch.ones(2))
    net.register_buffer("passing", torch.ones(2), persistent=False)
    return net


@pytest.mark.parametrize("persistent", [True, False])
def test_networks_pickled_whole_give_their_state_dict(persistent: bool, tmp_path: Path) -> None:
    net = small_network()
    data = pickle.dumps({"G_ema": Persistent(net) if persistent else net, "training": {"kimg": 3}})
    back = load(data, tmp_path, keep_unknown=True)
    found = state_dict_of(back["G_ema"])
    assert found.keys() == net.state_dict().keys()
    assert all(torch.equal(found[k], v) for k, v in net.state_dict().items())
    if persistent:
        assert back["G_ema"].name == Name("sys", "exit")
        assert back["G_ema"].args[0]["module_src"].startswith("import os")


@pytest.mark.parametrize("zipped", [True, False])
def test_shapes_alone_can_be_asked_for(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(checkpoint(), path, _use_new_zipfile_serialization=zipped)
    state = load_restricted(path, shapes_only=True)["state"]
    assert state["transposed"].shape == (4, 3) and state["transposed"].device.type == "meta"
    assert state["brain"].dtype == torch.bfloat16


def test_unknown_objects_are_refused_or_kept_inert(tmp_path: Path) -> None:
    data = pickle.dumps(argparse.Namespace(lr=0.1))
    with pytest.raises(HeadcastError, match=r"model\.pkl.*argparse\.Namespace"):
        load(data, tmp_path)
    kept = load(data, tmp_path, keep_unknown=True)
    assert isinstance(kept, Record) and kept.state == {"lr": 0.1}


class Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.made = function, args

    def __reduce__(self) -> tuple:
        return self.made


def hostile(witness: Path) -> dict[str, bytes]:
    """Pickles that would leave a file behind when run."""
    shell = f"touch {witness}"
    source = f"open({str(witness)!r}, 'w').close()"
    path = str(witness).encode()
    raw = {
        "inst": b"(S'" + shell.encode() + b"'\nios\nsystem\n.",
        "obj": b"(cos\nsystem\nS'" + shell.encode() + b"'\no.",
        "newobj": b"\x80\x02cos\nsystem\n(S'" + shell.encode() + b"'\nt\x81.",
        "setstate": b"cbuiltins\nexec\n(S'" + source.replace("'", '"').encode() + b"'\ntR}b.",
        # the state of an OrderedDict that would replace its __setstate__ or __reduce__
        "ordered": b"ccollections\nOrderedDict\n)R(S'__setstate__'\ncos\nsystem\ndb.",
        "getattr": b"cbuiltins\ngetattr\n(cos\nS'system'\ntR(S'" + shell.encode() + b"'\ntR.",
        # numpy's reconstruct with another class in the place of ndarray
        "array": b"cnumpy.core.multiarray\n_reconstruct\n(cos\nsystem\n(I0\ntS'" + shell.encode() + b"'\ntR.",
        # protocol 4 reaches dotted attributes
        "dotted": b"\x80\x04\x8c\x08builtins\x8c\x0deval.__call__\x93\x8c\x04os.x\x85R.",
        "sparse": b"\x80\x02cscipy.sparse.csc\ncsc_matrix\n)\x81cos\nsystem\nb.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent": b"P" + path + b"\n.",
    }
    made = {
        "system": Call(os.system, shell),
        "eval": Call(eval, source),
        "exec": Call(exec, source),
        "popen": Call(subprocess.Popen, ["touch", str(witness)]),
        "nested": {"a": [{"b": Call(os.system, shell)}]},
        "import": Call(__import__, "antigravity"),
        "array in a call": Call(np.fromfile, str(witness)),
        "numpy load": Call(np.load, str(witness)),
        "torch load": Call(torch.load, str(witness)),
        "mkdir": Call(os.mkdir, str(witness)),
        "key": {Call(os.mkdir, str(witness)): 1},
    }
    return raw | {k: pickle.dumps(v, 2) for k, v in made.items()}


@pytest.mark.parametrize("name", sorted(hostile(Path("x"))))
@pytest.mark.parametrize("keep_unknown", [False, True])
def test_nothing_of_a_hostile_pickle_runs(name: str, keep_unknown: bool, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    modules = set(sys.modules)
    try:
        load(hostile(witness)[name], tmp_path, keep_unknown=keep_unknown)
        assert keep_unknown or name in ("ordered", "array"), "refused unless inert objects are wanted"
    except HeadcastError as e:
        assert "\n" not in str(e) and "model.pkl" in str(e)
    assert not witness.exists()
    assert set(sys.modules) == modules


def zip_of(**entries: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in entries.items():
            z.writestr(name, data)
    return out.getvalue()


def tensor_pickle(size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    """data.pkl of a tensor over storage 0."""
    buffer = io.BytesIO()
    torch.save(torch.zeros(4), buffer)
    with zipfile.ZipFile(buffer) as z:
        data = z.read(next(n for n in z.namelist() if n.endswith("data.pkl")))
    old = b"K\x00K\x04\x85q\x06K\x01\x85q\x07"
    assert old in data
    sizes = b"".join(b"\x8a\x08" + n.to_bytes(8, "little") for n in size)
    strides = b"".join(b"J" + n.to_bytes(4, "little") for n in stride)
    new = b"J" + offset.to_bytes(4, "little") + b"(" + sizes + b"t(" + strides + b"t"
    return data.replace(old, new)


GREEDY = {
    "bytes": b"\x80\x04\x8e" + (1 << 62).to_bytes(8, "little") + b"x.",
    "text": b"\x80\x04X" + (0xFFFFFFFF).to_bytes(4, "little") + b"x.",
    "memo": b"\x80\x04Nr" + (0xFFFFFFFF).to_bytes(4, "little") + b".",
    "array": pickle.dumps(np.zeros(3), 2).replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85"),
    "digits": b"L" + b"9" * 100_000 + b"L\n.",
    "long": b"\x8b" + (100_000).to_bytes(4, "little") + b"\x7f" * 100_000 + b".",
    "tuples": b")" + b"\x85" * 50_000 + b"0N.",
    "deep key": b"}" + b")" + b"\x85" * 20_000 + b"Ns.",
    "doubling key": b"})" + b"2\x86" * 60 + b"Ns.",
    "marks": b"(" * 50_000,
    "tensor": zip_of(**{"a/data.pkl": tensor_pickle((1 << 40,), (1,)), "a/data/0": bytes(16)}),
    "zero stride": zip_of(**{"a/data.pkl": tensor_pickle((1 << 40,), (0,)), "a/data/0": bytes(16)}),
    "behind the end": zip_of(**{"a/data.pkl": tensor_pickle((4,), (1,), 1), "a/data/0": bytes(16)}),
    "no storage": zip_of(**{"a/data.pkl": tensor_pickle((4,), (1,))}),
}


@pytest.mark.parametrize("name", sorted(GREEDY))
def test_greedy_files_cost_nothing(name: str, tmp_path: Path) -> None:
    try:
        assert load(GREEDY[name], tmp_path) is None
        assert name in ("memo", "tuples")
    except HeadcastError as e:
        assert "\n" not in str(e)


def test_a_compressed_storage_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("a/data.pkl", tensor_pickle((4,), (1,)))
        z.writestr("a/data/0", bytes(1 << 24))
    with pytest.raises(HeadcastError, match="unusual"):
        load(out.getvalue(), tmp_path)


def test_any_damage_is_a_clear_error(tmp_path: Path) -> None:
    whole = dump({"shape": Ch(np.eye(3)), "regressor": Csc(np.eye(4)), "n": [1, 2.5, "x"]})
    random = np.random.default_rng(0)
    for n in range(0, len(whole), 19):
        with pytest.raises(HeadcastError):
            load(whole[:n] or b"\x80", tmp_path)
    for _ in range(150):
        data = bytearray(whole)
        for at in random.integers(0, len(data), 3):
            data[at] = random.integers(256)
        try:
            load(bytes(data), tmp_path, keep_unknown=bool(random.integers(2)))
        except HeadcastError as e:
            assert "model.pkl" in str(e)
