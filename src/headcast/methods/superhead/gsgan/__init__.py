"""GSGAN (Hyun and Heo, NeurIPS 2024): the paper's own generator of Gaussian heads, for official weights.

Written from a description of the published network, with its quirks; state-dict keys and shapes are the
published ones. Nothing of it is bundled: the repository has no licence.
"""
