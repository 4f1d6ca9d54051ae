"""Steps of ``tools/build_head_model.py``: from ICT-FaceKit's data to the bundled head model."""
