"""face-vid2vid (Wang et al. 2021): a photo driven by a video through learned 3D keypoints."""

from headcast.registry import Declaration

HERE = "headcast.methods.facevid2vid"

DECLARATION = Declaration()
