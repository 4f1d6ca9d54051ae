"""InvertAvatar (Zhao, Sun et al., SIGGRAPH 2024): every further frame improves the same avatar.

``paper`` holds the paper's own networks and the four stages that train them. No weights come with them: a
processor cannot train a GAN of this size, and the published weights are for research only.
"""

from headcast.registry import Declaration

TRAIN = "headcast.methods.invertavatar.paper.train"

DECLARATION = Declaration(
    recipes={
        "invertavatar.generator": f"{TRAIN}.generator:GeneratorRecipe",
        "invertavatar.latent": f"{TRAIN}.latent:LatentRecipe",
        "invertavatar.encoders": f"{TRAIN}.encoders:EncodersRecipe",
        "invertavatar.recurrent": f"{TRAIN}.recurrent:RecurrentRecipe",
    },
)
