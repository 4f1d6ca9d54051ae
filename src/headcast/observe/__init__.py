"""Photo or video to ``Observation``."""
