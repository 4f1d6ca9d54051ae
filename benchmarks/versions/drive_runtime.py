"""Run by either version's Python: ``drive_runtime.py ME.avatar STEPS`` times the loop of ``Runtime.step``."""

import json
import math
import sys
import time

from headcast import api


def main(path: str, steps: int) -> None:
    """Print the seconds of the loop, the first step (which compiles kernels) left out."""
    live = api.Runtime(api.load(path))
    live.step({"jawOpen": 0.1})
    cpu, wall = time.process_time(), time.perf_counter()
    for k in range(steps):
        open_, smile = 0.5 - 0.5 * math.cos(k / 5), 0.5 - 0.5 * math.cos(k / 9)
        live.step({"jawOpen": open_, "mouthSmileLeft": smile, "mouthSmileRight": smile})
    print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
