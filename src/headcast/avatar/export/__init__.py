"""Files that other programs open: one writer a format, found by ``base.FORMATS``."""
