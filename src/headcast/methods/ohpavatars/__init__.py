"""OHPAvatars (2023): one portrait, a coarse talking video, restoration of its frames, round after round.

``script`` (views and expressions of the coarse video), ``update`` (the paper's iterative dataset update:
render, restore), ``learner`` (what is optimised towards the restored frames), ``score`` (identity and
sharpness of the source view, when to stop), ``loop`` (the rounds), ``store`` (finished steps on disk).
"""

from headcast.registry import Declaration

HERE = "headcast.methods.ohpavatars"

DECLARATION = Declaration(
    methods={"ohpavatars": f"{HERE}.method:OhpAvatars", "insta": f"{HERE}.field.method:Insta"},
    protocols={
        "rounds": f"{HERE}.protocols.rounds",
        "last-fifth": f"{HERE}.protocols.last_fifth",
    },
    avatar_kinds={"field": f"{HERE}.field.avatar:FieldAvatar"},
)
