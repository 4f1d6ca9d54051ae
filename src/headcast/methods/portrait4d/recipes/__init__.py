"""Training recipes of Portrait4D-v2.

The paper's: ``static`` (stage 1, Ψ3d) and ``motion`` (stage 2, Ψ). Ours, run before those for ``small``:
``average`` (the average head's planes) and ``motion_encoder``. ``base`` holds what they share.
"""
