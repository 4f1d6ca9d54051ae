"""Identity vectors of faces in photographs: do two of them show one person?"""

from headcast.priors.embedding.infer import embed_face, identity_available, load_embedder, upright_face_square
from headcast.priors.embedding.network import IdentityEmbedder

__all__ = ["IdentityEmbedder", "embed_face", "identity_available", "load_embedder", "upright_face_square"]
