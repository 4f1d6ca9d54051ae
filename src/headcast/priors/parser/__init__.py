"""Face parser and matte: 14 region labels and the person's coverage of a square about a face."""

from headcast.priors.parser.infer import Parsed, available, load_parser, parse_face
from headcast.priors.parser.network import FaceParser

__all__ = ["FaceParser", "Parsed", "available", "load_parser", "parse_face"]
