"""The default method: a fitted head model with a texture, hair and body surfaces, covered with Gaussians."""

from headcast.registry import Declaration

DECLARATION = Declaration(methods={"fit": "headcast.methods.fit.method:Fit"})
