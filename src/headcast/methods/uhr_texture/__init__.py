"""Ultra-high-resolution skin from one portrait: Huang et al., "Ultra-High Resolution Facial Texture
Reconstruction from a Single Image" (``§`` in this folder means a section of that paper)."""
