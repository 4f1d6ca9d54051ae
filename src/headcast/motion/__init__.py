"""What a head does over time: clips of expression curves, presets, files of other programs."""
