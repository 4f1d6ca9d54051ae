"""The boundary around decoders: one line for damage, tracebacks elsewhere, bounds before decoding."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, floating_dtypes, integer_dtypes

from headcast.array_files import array_names, load_arrays
from headcast.errors import HeadcastError
from headcast.parsing import (
    check_text,
    load_json,
    load_table,
    open_zip,
    parsing,
    read_limited,
    read_text,
    short_reason,
    zip_directory_bytes,
)

SHARED_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

KINDS = st.one_of(integer_dtypes(endianness="?"), floating_dtypes(sizes=(16, 32, 64), endianness="?"))


@given(st.text(max_size=400))
def test_reasons_are_short_printable_lines(text: str) -> None:
    for reason in (ValueError(text), KeyError(text), OSError(2, text), RecursionError(text), MemoryError()):
        line = short_reason(reason)
        assert line and len(line) <= 120 and line.isprintable()
        line.encode()


def test_any_failure_within_is_one_line_and_others_keep_their_traceback(tmp_path: Path) -> None:
    for error in (ValueError("a\nb"), KeyError("x"), AttributeError(), RuntimeError("r"), MemoryError()):
        expected = pytest.raises(HeadcastError, match=r"^x\.bin: damaged \(.+\); mend it$")
        with expected as e, parsing("x.bin", "damaged", "mend it"):
            raise error
        assert e.value.__cause__ is error
    with pytest.raises(HeadcastError, match=r"^own$"), parsing("x.bin", "damaged", "mend it"):
        raise HeadcastError("own")
    with pytest.raises(KeyboardInterrupt), parsing("x.bin", "damaged", "mend it"):
        raise KeyboardInterrupt


@SHARED_FOLDER
@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=3),
        st.one_of(
            integer_dtypes(endianness="?"), floating_dtypes(sizes=(16, 32, 64), endianness="?")
        ).flatmap(lambda kind: arrays(kind, array_shapes(min_dims=0, min_side=0, max_side=3))),
        max_size=3,
    ),
    st.booleans(),
    st.booleans(),
)
def test_arrays_come_back(tmp_path: Path, values: dict[str, np.ndarray], packed: bool, fortran: bool) -> None:
    path = tmp_path / "a.npz"
    stored = {k: np.asfortranarray(v) if fortran else v for k, v in values.items()}
    (np.savez_compressed if packed else np.savez)(path, **stored)  # type: ignore[arg-type]
    if not values:
        assert load_arrays(path, None, "mend it") == {}
        return
    found = load_arrays(path, None, "mend it")
    assert sorted(found) == sorted(values) == sorted(array_names(path, "mend it"))
    for name, value in values.items():
        assert found[name].dtype == value.dtype.newbyteorder("=") and found[name].flags.writeable
        np.testing.assert_array_equal(found[name], value)


def test_arrays_are_bounded_and_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, big=np.zeros(1 << 20), small=np.arange(3), text=np.array(["x"]))
    assert list(load_arrays(path, ("small", "absent"), "mend it", limit=100)) == ["small"]
    with pytest.raises(HeadcastError, match="take 8 MB"):
        load_arrays(path, ("big",), "mend it", limit=1 << 20)
    with pytest.raises(HeadcastError, match="of the type <U1"):
        load_arrays(path, None, "mend it")
    assert load_arrays(path, ("text",), "mend it", kinds="U")["text"].tolist() == ["x"]


@SHARED_FOLDER
@given(st.binary(max_size=200), st.integers(0, 30), st.booleans())
def test_the_list_of_entries_is_measured_as_zipfile_does(
    tmp_path: Path, comment: bytes, count: int, wide: bool
) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for k in range(count):
            with z.open(f"{k}", "w", force_zip64=wide) as f:
                f.write(b"x")
        z.comment = comment
    path = tmp_path / "a.zip"
    path.write_bytes(out.getvalue())
    listed = out.getvalue().find(b"PK\1\2")
    size = len(out.getvalue()) - 22 - len(comment) - listed if count else 0
    if b"PK\5\6" not in comment:
        assert zip_directory_bytes(io.BytesIO(out.getvalue())) == size
    with open_zip(path) as archive:
        assert len(archive.namelist()) == count
    if count > 1:
        with pytest.raises(ValueError, match="too many entries"), open_zip(path, 60):
            pass


def test_json_without_half_characters(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": "\\ud83d\\ude00", "b": [1]}')
    assert load_json(path, "mend it") == {"a": "\U0001f600", "b": [1]}
    for text in ('"\\ud83d"', '{"\\ude00": 1}', "[" * 100_000, "{", '"\xff'):
        path.write_text(text)
        with pytest.raises(HeadcastError, match=r"a\.json: not a readable JSON file \(.+\); mend it"):
            load_json(path, "mend it")
    path.write_text(json.dumps("x" * 2000))
    with pytest.raises(HeadcastError, match="larger than"):
        load_json(path, "mend it", limit=1000)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_in_three_encodings(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Ärger, 1", encoding=encoding)
    assert read_text(tmp_path / "a.txt", "text") == "Ärger, 1"


def test_other_bytes_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xe9t\xe9")
    with pytest.raises(HeadcastError, match="save it as UTF-8"):
        read_text(tmp_path / "a.txt", "text")


def test_tables_have_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,b\n1\n2,x,y,z\n")
    assert load_table(path, ("id",), "mend it") == [{"id": "1", "b": ""}, {"id": "2", "b": "x"}]
    with pytest.raises(HeadcastError, match="no column 'c'"):
        load_table(path, ("id", "c"), "mend it")


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "absent", "."):
        with pytest.raises(HeadcastError, match=r"regular file|no such file|is a folder"):
            read_limited(tmp_path / name, "JSON", 100)


@pytest.mark.parametrize("text", ["ja\udcff", "a\0b", "x" * 100_000])
def test_what_cannot_be_stored_is_refused_early(text: str) -> None:
    with pytest.raises(HeadcastError, match=r"^consent: "):
        check_text(text, "consent")


def test_plain_statements_are_taken() -> None:
    check_text(None, "consent")
    check_text("ja, gern: \u00fc \U0001f600", "consent")
