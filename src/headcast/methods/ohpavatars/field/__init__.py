"""INSTA's deformable radiance field (Zielonka et al. 2023): a canonical field, carried by the posed mesh."""
