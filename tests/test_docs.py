"""Documents that repeat what the code declares."""

from __future__ import annotations

from tests.methods_table import BEGIN, README, written


def test_the_table_of_methods_is_todays() -> None:
    text = README.read_text()
    assert BEGIN in text
    assert written(text) == text, "run: make surface"
