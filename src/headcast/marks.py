"""What everything this program makes says about itself: that it is synthetic, how it was made, what it may
be used for, and the consent of the person shown where it was stated."""

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
    "picture_text",
    "video_text",
]

GENERATOR = f"headcast {__version__}"
SYNTHETIC = "synthetic media made with headcast"
FREE = ("apache-2.0", "mit", "bsd", "cc0", "cc-by-4.0", "cc by 4.0", "isc", "public domain", "unlicense")
"""Beginnings of licences that allow commercial use."""
NOT_FREE = ("non-commercial", "noncommercial", "non commercial", "-nc", "research", "academic")
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType='
    '"http://cv.iptc.org/newscodes/digitalsourcetype/compositeSynthetic"/></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="r"?>'
)
"""The mark that picture archives and editors read: IPTC's digital source type, synthetic in part."""


def facts(info: Mapping[str, Any]) -> dict[str, Any]:
    """Mark, method, weights with licences, and the consent statement where one was given."""
    found: dict[str, Any] = {"synthetic_media": info.get("synthetic_media") or SYNTHETIC}
    for name in ("method", "created_by", "seed", "weights", "consent"):
        if info.get(name) is not None:
            found[name] = info[name]
    return {**found, "commercial_use": commercial_use(info)}


def licences(info: Mapping[str, Any]) -> dict[str, str]:
    """Licence of every set of weights an avatar was made with, by name."""
    weights = [w for w in info.get("weights", ()) if isinstance(w, dict)]
    return {str(w.get("name", "weights")): str(w.get("licence", "unknown")) for w in weights}


def commercial_use(info: Mapping[str, Any]) -> str:
    """What the licences of the weights say about commercial use; the photo's own rights are another matter.

    A licence counts as free when it begins with a known free one and names no limit.
    """
    held = {
        name: text
        for name, text in licences(info).items()
        if not text.lower().startswith(FREE) or any(word in text.lower() for word in NOT_FREE)
    }
    if held:
        return "ask first: " + "; ".join(f"{name} is under '{text}'" for name, text in held.items())
    if not licences(info):
        return "unknown: the avatar names no licences"
    return "allowed by the licences of all weights; rights in the photo are the user's to clear"


def header_lines(info: Mapping[str, Any]) -> tuple[str, ...]:
    """The facts as lines for a file's header."""
    found = facts(info)
    lines = [f"{GENERATOR}: {found['synthetic_media']}"]
    lines += [f"licence: {name}: {text}" for name, text in licences(info).items()]
    return (*lines, f"consent: {found['consent']}") if "consent" in found else tuple(lines)


def picture_text(info: Mapping[str, Any]) -> dict[str, str]:
    """Text entries of a PNG."""
    found = {"Software": GENERATOR, "Comment": SYNTHETIC, "XML:com.adobe.xmp": XMP}
    if info.get("synthetic_media"):
        found["Disclaimer"] = str(info["synthetic_media"])
    if info.get("consent"):
        found["Consent"] = str(info["consent"])
    return found


def video_text(info: Mapping[str, Any]) -> dict[str, str]:
    """Entries of an MP4; of all that players show, ``comment`` is kept by most programs."""
    words = [SYNTHETIC, str(info.get("synthetic_media") or "")]
    if info.get("consent"):
        words.append(f"Consent: {info['consent']}")
    return {"comment": ". ".join(w.rstrip(".") for w in words if w)}
