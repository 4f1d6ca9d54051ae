"""Identity vectors of faces in photographs: do two of them show one person?"""

from headcast.priors.embedding.infer import align_square, embed_face, identity_available, load_embedder
from headcast.priors.embedding.network import IdentityEmbedder

__all__ = ["IdentityEmbedder", "align_square", "embed_face", "identity_available", "load_embedder"]
