"""Marks in all output files: that they are synthetic, how they were made, what they may be used for, and
the consent statement of the person shown where one was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headcast import __version__

__all__ = [
    "GENERATOR",
    "SYNTHETIC",
    "commercial_use",
    "facts",
    "header_lines",
    "licences",
    "png_metadata",
    "video_text",
]

GENERATOR = f"headcast {__version__}"
SYNTHETIC = "synthetic media made with headcast"
PERMISSIVE = (
    "apache-2.0",
    "mit",
    "bsd",
    "cc0",
    "cc-by-4.0",
    "cc by 4.0",
    "isc",
    "public domain",
    "unlicense",
)
"""Beginnings of licences that allow commercial use."""
RESTRICTIVE = ("non-commercial", "noncommercial", "non commercial", "-nc", "research", "academic")
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType='
    '"http://cv.iptc.org/newscodes/digitalsourcetype/compositeSynthetic"/></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="r"?>'
)
"""The mark that image archives and editors read: IPTC's digital source type, synthetic in part."""


def facts(info: Mapping[str, Any]) -> dict[str, Any]:
    """Collect mark, method, weights with licences, and the consent statement where one was given."""
    found: dict[str, Any] = {"synthetic_media": info.get("synthetic_media") or SYNTHETIC}
    for name in ("method", "created_by", "seed", "weights", "consent"):
        if info.get(name) is not None:
            found[name] = info[name]
    return {**found, "commercial_use": commercial_use(info)}


def licences(info: Mapping[str, Any]) -> dict[str, str]:
    """Return the licence of every set of weights an avatar was made with, by name."""
    weights = [w for w in info.get("weights", ()) if isinstance(w, dict)]
    return {str(w.get("name", "weights")): str(w.get("licence", "unknown")) for w in weights}


def commercial_use(info: Mapping[str, Any]) -> str:
    """Describe what the weights' licences allow commercially; the photo's own rights are another matter.

    A licence counts as permissive when it begins with a known permissive one and names no restriction.
    """
    restricted = {
        name: text
        for name, text in licences(info).items()
        if not text.lower().startswith(PERMISSIVE) or any(word in text.lower() for word in RESTRICTIVE)
    }
    if restricted:
        return "ask first: " + "; ".join(f"{name} is under '{text}'" for name, text in restricted.items())
    if not licences(info):
        return "unknown: the avatar names no licences"
    return "allowed by the licences of all weights; rights in the photo are the user's to clear"


def header_lines(info: Mapping[str, Any]) -> tuple[str, ...]:
    """Format the facts as lines for a file's header."""
    found = facts(info)
    lines = [f"{GENERATOR}: {found['synthetic_media']}"]
    lines += [f"licence: {name}: {text}" for name, text in licences(info).items()]
    return (*lines, f"consent: {found['consent']}") if "consent" in found else tuple(lines)


def png_metadata(info: Mapping[str, Any]) -> dict[str, str]:
    """Return the text entries of a PNG file."""
    found = {"Software": GENERATOR, "Comment": SYNTHETIC, "XML:com.adobe.xmp": XMP}
    if info.get("synthetic_media"):
        found["Disclaimer"] = str(info["synthetic_media"])
    if info.get("consent"):
        found["Consent"] = str(info["consent"])
    return found


def video_text(info: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata of an MP4 file; of all that players show, ``comment`` is kept by most programs."""
    words = [SYNTHETIC, str(info.get("synthetic_media") or "")]
    if info.get("consent"):
        words.append(f"Consent: {info['consent']}")
    return {"comment": ". ".join(w.rstrip(".") for w in words if w)}
