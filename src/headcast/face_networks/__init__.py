"""Networks of MediaPipe that find faces, their 478 landmarks, expression scores and people in images.

They are bundled as TensorFlow Lite files and run by LiteRT on the CPU. What surrounds them (anchors,
non-maximum suppression, crops) is this package's own. Free of torch.
"""
