"""The committed program is what the committed sources build."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from headcast.avatar.export.html import VIEWER

WEB = Path(__file__).resolve().parents[2] / "web"


def test_the_bundle_is_what_the_sources_build(tmp_path: Path) -> None:
    if not WEB.is_dir() or shutil.which("npm") is None:
        pytest.skip("no npm, or no web sources")
    if not (WEB / "node_modules" / "vite").is_dir():
        pytest.skip("web/node_modules is not there: run 'npm ci' in web/")
    before = {p.name: p.read_bytes() for p in VIEWER.iterdir()}
    command = ["npm", "run", "build", "--", "--outDir", str(tmp_path)]
    try:
        run = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        built = {p.name: p.read_bytes() for p in VIEWER.iterdir()}
    finally:
        for name, data in before.items():
            (VIEWER / name).write_bytes(data)
    unpacked = gzip.decompress
    assert unpacked(built["viewer.js.gz"]) == unpacked(before["viewer.js.gz"]), "run 'npm run build' in web/"
    assert built["LICENSES.txt"] == before["LICENSES.txt"]
    assert b"MIT" in before["LICENSES.txt"] and b"three" in before["LICENSES.txt"]


def test_the_studios_page_is_what_the_sources_build(tmp_path: Path) -> None:
    if not WEB.is_dir() or shutil.which("npx") is None:
        pytest.skip("no npx, or no web sources")
    if not (WEB / "node_modules" / "@fontsource-variable").is_dir():
        pytest.skip("web/node_modules is not there: run 'npm ci' in web/")
    page = WEB.parent / "src" / "headcast" / "studio" / "page"
    for part in ("studio", "frame"):
        command = ["npx", "vite", "build", "-c", "vite.studio.config.ts", "--outDir", str(tmp_path / "build")]
        places = {**os.environ, "STUDIO_PART": part, "STUDIO_OUT": str(tmp_path)}
        run = subprocess.run(command, cwd=WEB, env=places, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
    built = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    assert built == {p.name: p.read_bytes() for p in page.iterdir()}, "run 'npm run build' in web/"
    assert b"SIL OPEN FONT LICENSE" in built["LICENSES.txt"] and b"three" in built["LICENSES.txt"]
    assert sum(map(len, built.values())) < 400_000
