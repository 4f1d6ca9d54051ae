"""Builds the bundled head model (weights/head.safetensors) from ICT-FaceKit's data. See docs/head.md.

Needs libigl and scipy: pip install libigl scipy
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ict", type=Path, required=True, help="repack of ICT-FaceKit (npz)")
    parser.add_argument("--landmarks", type=Path, help="landmark points (json); default: the committed ones")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    missing = [name for module, name in (("igl", "libigl"), ("scipy", "scipy")) if find_spec(module) is None]
    if missing:
        parser.error(f"{' and '.join(missing)} not installed: pip install {' '.join(missing)}")
    from head_model.build import PARTS, build
    from head_model.finish import finish, write
    from head_model.source import load

    source = load(options.ict)
    arrays, notes = build(source)
    tensors, meta = finish(source, arrays, notes, PARTS, options.landmarks)
    write(tensors, meta, options.output)
    print(json.dumps(meta["card"], indent=1))


if __name__ == "__main__":
    main()
