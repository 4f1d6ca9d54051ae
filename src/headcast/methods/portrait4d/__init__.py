"""Portrait4D-v2 (Deng et al., 2024): a feed-forward one-shot 4D head as tri-planes.

The paper's networks and losses: ``network`` (the synthesizer Ψ), ``encoders`` and ``transformer`` (parts of
Ψ), ``neck_field`` (supplement A), ``losses`` (Eq. 2 and 5), ``pdfgc`` (the motion encoder of the published
weights), ``framing`` (training cameras); its two training stages: ``recipes.static`` and ``recipes.motion``.

Ours, not the paper's: ``motion_embedding`` (a small motion encoder, and the map from expression codes to its
embeddings), ``expression_planes`` (planes added by expressions), ``actor`` (expression codes for PD-FGC), the
trainings ``recipes.average`` and ``recipes.motion_encoder``, and the measurements ``expression_response`` and
``controls``.

The rest connects these to headcast. Training data: ``data``, ``people`` (rendered in advance), ``clips``
(real videos). Inference: ``crop``, ``infer``, ``avatar``, ``surface``, ``method``. Weights files: ``weights``
(reading), ``importing`` (official checkpoints).
"""

from headcast.registry import Declaration, Importer, OfficialCheckpoint

HERE = "headcast.methods.portrait4d"

DECLARATION = Declaration(
    methods={"portrait4d": f"{HERE}.method:Portrait4D"},
    avatar_kinds={"triplane": f"{HERE}.avatar:TriplaneAvatar"},
    protocols={"motion": f"{HERE}.protocols.motion", "controls": f"{HERE}.protocols.controls"},
    framings={"portrait4d": f"{HERE}.framing:PORTRAIT4D"},
    recipes={
        "portrait4d.average": f"{HERE}.recipes.average:AverageRecipe",
        "portrait4d.static": f"{HERE}.recipes.static:StaticRecipe",
        "portrait4d.encoder": f"{HERE}.recipes.motion_encoder:EncoderRecipe",
        "portrait4d.motion": f"{HERE}.recipes.motion:MotionRecipe",
    },
    importers={
        "portrait4d": Importer(
            f"{HERE}.importing:convert_portrait4d",
            "portrait4d-v2-vfhq512.pkl",
            "Portrait4D's synthesizer at its official sizes",
        ),
        "portrait4d-static": Importer(
            f"{HERE}.importing:convert_portrait4d",
            "portrait4d-static-genhead512.pkl",
            "Portrait4D's static synthesizer at its official sizes",
        ),
        "pdfgc": Importer(
            f"{HERE}.importing:convert_pdfgc",
            "motion_model.pth",
            "the motion encoder of portrait4d's official weights",
        ),
    },
    checkpoints=(
        OfficialCheckpoint(
            "Portrait4D",
            "MIT, parts with other terms (NVIDIA, FLAME)",
            ("G_ema", "G"),
            {"w_avg": (512,), "encoder_canonical.trans_blocks_motion.1.norm1.bias": (1024,)},
        ),
        OfficialCheckpoint(
            "PD-FGC motion encoder",
            "see its authors",
            ("",),
            {"model.conv1.weight": (64, 3, 7, 7), "emo_embed.1.bias": (30,)},
        ),
    ),
)
