"""``python -m headcast`` is the command ``headcast``."""

from __future__ import annotations

from headcast.cli.main import entry

if __name__ == "__main__":
    entry()
