"""face-vid2vid (Wang et al. 2021): a photo driven by a video through learned 3D keypoints.

Wang, Mallya & Liu, "One-Shot Free-View Neural Talking-Head Synthesis for Video Conferencing". The networks,
as the weights of an unofficial implementation have them: ``keypoints`` (canonical keypoints), ``pose`` (head
pose and expression), ``dense_motion`` (flow, occlusion), ``generator`` (appearance, warping, both decoders),
with sizes in ``config`` and blocks in ``blocks``. Training: ``losses``, ``vgg``, ``warps`` (for equivariance,
see there), ``data``, ``recipe``. Inference: ``relative`` (driven keypoints, free view), ``crop``, ``infer``,
``options``, ``method``. Weights files: ``weights`` (reading), ``importing`` (official checkpoints, which are
CC BY-NC and not bundled).
"""

from headcast.registry import Declaration, Importer, OfficialCheckpoint

HERE = "headcast.methods.facevid2vid"

DECLARATION = Declaration(
    animators={"facevid2vid": f"{HERE}.method:FaceVid2Vid"},
    recipes={"facevid2vid": f"{HERE}.recipe:FaceVid2VidRecipe"},
    importers={
        "facevid2vid": Importer(
            f"{HERE}.importing:convert_facevid2vid",
            "the Vox-256 .pth.tar of its authors (CC BY-NC)",
            "animate PHOTO --method facevid2vid",
        )
    },
    checkpoints=(
        OfficialCheckpoint(
            "face-vid2vid",
            "CC BY-NC 4.0: no commercial use",
            ("generator",),
            {
                "dense_motion_network.mask.weight": (16, 112, 7, 7, 7),
                "dense_motion_network.occlusion.weight": (1, 1792, 7, 7),
            },
        ),
    ),
)
