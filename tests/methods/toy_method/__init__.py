"""A method as a folder brings it: everything that a ``Declaration`` can hold, as small as possible."""

from headcast.registry import Declaration, Importer, OfficialCheckpoint

HERE = "tests.methods.toy_method.method"

DECLARATION = Declaration(
    methods={"dots": f"{HERE}:Dots", "sparse-dots": f"{HERE}:SparseDots"},
    animators={"dimmer": f"{HERE}:Dimmer"},
    avatar_kinds={"dots": f"{HERE}:DotsAvatar"},
    recipes={"dots.blobs": "headcast.training.toy:ToyRecipe"},
    importers={"dots": Importer(f"{HERE}:convert_dots", "dots.pth", "dots of official size")},
    checkpoints=(OfficialCheckpoint("Dots", "CC0", ("",), {"dots.weight": (3, 5, 7)}),),
)
