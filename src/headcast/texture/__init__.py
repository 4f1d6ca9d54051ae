"""A head's UV texture: texels as surface points, unprojection of photos, de-lighting, completion."""
