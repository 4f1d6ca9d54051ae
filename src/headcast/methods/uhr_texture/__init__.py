"""Ultra-high-resolution skin textures: 4K albedo, micronormal and specular maps of one photo."""

from headcast.registry import Declaration

HERE = "headcast.methods.uhr_texture"

DECLARATION = Declaration(
    skin_mappers={"uhr_texture": f"{HERE}.method:UhrTexture"},
    protocols={
        "skin-maps": f"{HERE}.protocols.skin_maps",
        "skin-detail": f"{HERE}.protocols.skin_detail",
        "skin-steadiness": f"{HERE}.protocols.skin_steadiness",
    },
    recipes={
        "uhr.normal": f"{HERE}.train:NormalRecipe",
        "uhr.gde": f"{HERE}.train:GDERecipe",
        "uhr.hfdr": f"{HERE}.train:HFDRRecipe",
    },
)
