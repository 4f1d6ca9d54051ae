"""InvertAvatar (Zhao, Sun et al., SIGGRAPH 2024): every further frame improves the same avatar.

``method`` connects the incremental inversion over our head: ``incremental`` (frame by frame), ``fusion``,
``layers`` (the textures), ``shape``, ``gate`` (which frames), ``state`` (what is kept) and ``avatar``.

``paper`` holds the paper's own networks and the four stages that train them. No weights come with them: a
processor cannot train a GAN of this size, and the published weights are for research only.
"""

from headcast.registry import Declaration

HERE = "headcast.methods.invertavatar"
TRAIN = "headcast.methods.invertavatar.paper.train"

DECLARATION = Declaration(
    methods={"invertavatar": f"{HERE}.method:InvertAvatar"},
    avatar_kinds={"invertavatar": f"{HERE}.avatar:IncrementalAvatar"},
    recipes={
        "invertavatar.generator": f"{TRAIN}.generator:GeneratorRecipe",
        "invertavatar.latent": f"{TRAIN}.latent:LatentRecipe",
        "invertavatar.encoders": f"{TRAIN}.encoders:EncodersRecipe",
        "invertavatar.recurrent": f"{TRAIN}.recurrent:RecurrentRecipe",
    },
)
