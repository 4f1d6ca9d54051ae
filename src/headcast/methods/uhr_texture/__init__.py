"""Ultra-high-resolution skin textures: 4K albedo, micronormal and specular maps of one photo."""

from headcast.registry import Declaration

HERE = "headcast.methods.uhr_texture"

DECLARATION = Declaration(
    skin_mappers={"uhr_texture": f"{HERE}.method:UhrTexture"},
    recipes={
        "uhr.normal": f"{HERE}.train:NormalRecipe",
        "uhr.gde": f"{HERE}.train:GDERecipe",
        "uhr.hfdr": f"{HERE}.train:HFDRRecipe",
    },
)
