"""Foreign head models (FLAME, ICT-FaceKit): read, registered, rebuilt as a ``HeadModel``."""
