"""Export to files of other programs: one writer per format, found by ``base.FORMATS``."""
