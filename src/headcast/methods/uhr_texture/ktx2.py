"""Textures as KTX2 (UASTC), which GPUs read packed: by the program ``basisu``, which the user installs.

No library that writes it comes as a wheel under a stated licence; Basis Universal (Apache-2.0) is a program
of its own.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

from headcast.errors import HeadcastError
from headcast.files import private_folder
from headcast.image import save_png

__all__ = ["MAGIC", "check_program", "encode_ktx2"]

MAGIC = b"\xabKTX 20\xbb\r\n\x1a\n"
LEVEL = "1"
"""UASTC encoding level: 0 is fastest, 4 best."""


def check_program() -> str:
    """Find the program ``basisu``.

    Raises:
        HeadcastError: nowhere on the PATH.
    """
    found = shutil.which("basisu")
    if found is None:
        raise HeadcastError(
            "--format ktx2: the program basisu is not on the PATH; install Basis Universal 1.15 or newer "
            "(github.com/BinomialLLC/basis_universal), or give png, jpeg or webp"
        )
    return found


def encode_ktx2(image: UInt8[ndarray, "h w *c"], linear: bool) -> bytes:
    """Encode a KTX2 file with all mip levels.

    Args:
        linear: numbers instead of sRGB colours.

    Raises:
        HeadcastError: the program is missing or fails.
    """
    program = check_program()
    with private_folder() as temporary:
        source, made = Path(temporary) / "texture.png", Path(temporary) / "texture.ktx2"
        save_png(source, image)
        words = ["-ktx2", "-uastc", "-uastc_level", LEVEL, "-mipmap", *(["-linear"] if linear else [])]
        run = subprocess.run(
            [program, *words, "-file", str(source), "-output_file", str(made)],
            cwd=temporary,
            capture_output=True,
            text=True,
            check=False,
        )
        data = made.read_bytes() if made.is_file() else b""
    if run.returncode or not data.startswith(MAGIC):
        last = (run.stdout + run.stderr).strip().splitlines()[-1:] or ["it wrote nothing"]
        raise HeadcastError(f"{program}: {last[0]}; give --format png, jpeg or webp")
    return data
