"""SuperHead (Huang et al., 2026): super-resolve an animatable head by inversion of a prior.

Section 4 of the paper, written once against ``prior.HeadPrior``: ``anchors`` (renderings of the input that
the restorer super-resolves), ``geometry`` (Eq. 7), ``rigged_render`` (Eq. 8 and 3), ``inversion`` (Eq. 4 to 6
and 9 to 12, the two stages), ``resume`` (a killed run goes on), ``enhance`` (all of it in order). Priors:
``uv_prior`` and its network ``uv_network`` (ours); ``gsgan`` (the paper's generator: it is imported and
runs, but does not implement ``HeadPrior`` yet). ``method`` connects it to headcast.
"""

from headcast.registry import Declaration, Importer, OfficialCheckpoint

HERE = "headcast.methods.superhead"

DECLARATION = Declaration(
    methods={"superhead": f"{HERE}.method:SuperHead"},
    protocols={"enhancement": f"{HERE}.protocols.enhancement"},
    recipes={"superhead.uv_prior": f"{HERE}.train:UVPriorRecipe"},
    importers={
        "gsgan": Importer(
            f"{HERE}.gsgan.importing:convert_gsgan",
            "network-snapshot-NNNNNN.pkl",
            "GSGAN's generator of Gaussian heads, the paper's own prior",
        )
    },
    checkpoints=(
        OfficialCheckpoint(
            "GSGAN",
            "none stated by its authors",
            ("G_ema", "G"),
            {"_xyz": (256, 3), "point_gen.encoder_camera_cond.weight": (32, 3)},
        ),
    ),
)
