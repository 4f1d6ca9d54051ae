"""``python -m headcast`` is the command ``headcast``."""

from __future__ import annotations

import sys

from headcast.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
