"""The commands and their options. What stands under a field is its help text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from tyro.conf import Positional, Suppress, arg

from headcast.registry import DEFAULT_METHOD

__all__ = [
    "COMMANDS",
    "Animate",
    "Bake",
    "Create",
    "Doctor",
    "Entry",
    "Evaluate",
    "Export",
    "Info",
    "Observe",
    "Render",
    "Restore",
    "Synth",
    "Texture",
    "Train",
    "View",
    "Weights",
]

Out = Annotated[Path | None, arg(aliases=["-o"], metavar="PATH")]
Size = Annotated[str | None, arg(metavar="PIXELS")]
Number = Annotated[int | None, arg(metavar="INT")]
Rate = Annotated[float | None, arg(metavar="FLOAT")]
Text = Annotated[str | None, arg(metavar="TEXT")]
File = Annotated[Path | None, arg(metavar="PATH")]


@dataclass(frozen=True)
class Create:
    """One photo, several photos or a video of one person become an avatar."""

    sources: Positional[tuple[Path, ...]]
    """Photos, or one video."""
    out: Out = None
    """Where the .avatar goes; by default the first source's name in the current folder."""
    method: str = DEFAULT_METHOD
    """The method, one of those above; each has options of its own."""
    face: Number = None
    """Which face of a photo, counted from 1 by size; by default the largest."""
    head: Literal["headcast", "flame", "ict"] = "headcast"
    """Head model: headcast's own, FLAME or ICT-FaceKit (from your copy of their files; see docs)."""
    flame: File = None
    """Your FLAME file (.pkl or .npz): with --head flame."""
    ict: File = None
    """Your ICT-FaceKit folder (or npz): with --head ict."""
    options: Suppress[Any] = None
    consent: Text = None
    """A statement of consent by the person shown; it stays in the avatar."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Prints a report as JSON."""


@dataclass(frozen=True)
class Animate:
    """An avatar moves: driven by a video, by a recording (Live Link Face, ARKit, FLAME), or by a preset."""

    avatar: Positional[Path]
    """The .avatar; a photo with --method."""
    method: Text = None
    """An image animator that drives a photo without an avatar."""
    options: Suppress[Any] = None
    drive: File = None
    """A video of somebody, a Live Link Face .csv, ARKit weights (.json) or FLAME parameters (.npz)."""
    flame: File = None
    """Your FLAME file, for FLAME parameters."""
    preset: Text = None
    """speech, expressions or turntable."""
    out: Out = None
    """Where the .mp4 goes; by default the avatar's name in the current folder."""
    camera: Literal["source", "driver"] = "source"
    """source: a portrait framing; driver: camera, size and frame count of the driving video."""
    frames: Number = None
    """At most so many frames."""
    size: Size = None
    """Pixels, for example 512 or 640x480; by default 512, or the driver's own."""
    fps: Rate = None
    """Frames per second; by default the driver's own, 30 for presets."""
    background: str = "grey"
    """white, grey, black or #rrggbb."""
    side_by_side: bool = False
    """Shows the driving video beside."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Prints a report as JSON."""


@dataclass(frozen=True)
class Render:
    """One picture of an avatar."""

    avatar: Positional[Path]
    """The .avatar."""
    out: Out = None
    """Where the .png goes; by default the avatar's name in the current folder."""
    view: Literal["front", "source"] = "front"
    """front: upright and at rest, a portrait; source: camera, size, pose and expression of the photo."""
    yaw: float = 0.0
    """Degrees by which the camera goes around the head; positive shows more of the subject's left side."""
    pitch: float = 0.0
    """Degrees; positive looks from above."""
    expression: str = ""
    """name=weight,... by ARKit name, for example mouthSmileLeft=1,jawOpen=.3; or a .json file of the same."""
    size: Size = None
    """Pixels, for example 512 or 640x480; by default 512, or the photo's own."""
    background: str = "transparent"
    """transparent (straight alpha), white, grey, black or #rrggbb."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Prints a report as JSON."""


@dataclass(frozen=True)
class Export:
    """A file that other programs open: Blender, engines, viewers, a browser."""

    avatar: Positional[Path]
    """The .avatar."""
    to: Literal["glb", "splat-ply", "mesh-ply", "spz", "html"] | None = None
    """The format; by default by the output's ending."""
    out: Out = None
    """Where the file goes; by default the avatar's name in the current folder."""
    shading: Literal["lit", "baked"] | None = None
    """lit: bare colours, to be lit where they are opened; baked: with the photo's light in them."""
    texture_size: Number = None
    """Longest side of the textures of a glb in pixels; by default as they are."""
    expression: str = ""
    """For splats and mesh-ply, which hold one pose: name=weight,... or a .json file, as in render."""
    rigged: bool = False
    """splat-ply: Gaussians in the frames of triangles (binding_0), as GaussianAvatars stores them."""
    sh_degree: Number = None
    """splat-ply: pads colours with zeros up to this degree, 0 to 3; some viewers insist on 3."""
    axes: Literal["y-down", "y-up"] | None = None
    """splat-ply: y-down is upright in splat viewers (the default), y-up is the head frame."""
    subdivide: Number = None
    """mesh-ply: how often triangles are cut into four, 0 to 3; by default as the texture asks."""
    json: bool = False
    """Prints a report as JSON."""


@dataclass(frozen=True)
class Bake:
    """An avatar without a mesh (tri-planes) becomes Gaussians on a rigged mesh, for every export and view."""

    avatar: Positional[Path]
    """The .avatar."""
    out: Out = None
    """Where the new .avatar goes; by default the avatar's name with _rigged in the current folder."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Prints a report as JSON."""


@dataclass(frozen=True)
class Observe:
    """What headcast sees in a photo: landmarks, masks, the fitted head, the light; in words and pictures."""

    photo: Positional[Path]
    """The photo."""
    out: Out = None
    """The folder of the report; by default report."""
    face: Number = None
    """Which face, counted from 1 by size; by default the largest."""
    debug: bool = False
    """Writes every intermediate picture."""
    parser: bool = False
    """Masks by the face parser (preview) instead of colours and geometry; also writes its 14 labels."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Prints the report as JSON."""


@dataclass(frozen=True)
class Info:
    """What an avatar file holds: kind, method, weights with licences, seed, consent, synthetic mark."""

    avatar: Positional[Path]
    """The .avatar."""
    json: bool = False
    """Prints JSON."""


@dataclass(frozen=True)
class View:
    """One HTML file that shows the avatar in any browser, offline: moves it, plays clips, takes pictures."""

    avatar: Positional[Path]
    """The .avatar."""
    out: Out = None
    """Where the .html goes; by default the avatar's name in the current folder."""
    no_open: bool = False
    """Writes the file and prints its name, without opening a browser."""
    json: bool = False
    """Prints a report as JSON."""


@dataclass(frozen=True)
class Doctor:
    """What works on this machine, what is missing and how to get it, and which model files are at hand."""

    places: Positional[tuple[Path, ...]] = ()
    """Model files or folders of them; by default the usual places."""
    convert: bool = False
    """Builds the heads found (FLAME, ICT-FaceKit), so that create starts at once."""
    json: bool = False
    """Prints JSON."""


@dataclass(frozen=True)
class Synth:
    """Synthetic heads with exact truth, as a folder: pictures, masks, depth, normals, UV, skin, numbers."""

    identities: int
    """How many people."""
    out: Path
    """The folder; a run that was interrupted is continued."""
    split: Literal["train", "test"] = "train"
    """test holds out identities, skin, hair styles and lights."""
    size: int = 256
    """Side of the pictures, pixels."""
    texture: int = 0
    """Side of the skin's maps, pixels; 0: twice the pictures'."""
    frames: int = 1
    """Moments of each person."""
    views: int = 1
    """Cameras at each moment."""
    clip: bool = False
    """The frames are consecutive, 25 a second, seen by a still camera."""
    framing: str = "portrait"
    """Where cameras stand: portrait, eg3d, front, or a name that a method declares."""
    motion: tuple[Path, ...] = ()
    """Videos or recordings (as for animate --drive) that people move as; by default motion is authored."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Prints a report as JSON."""


@dataclass(frozen=True)
class Train:
    """Trains a network that headcast ships, or goes on; `headcast train NAME --help` lists its settings."""

    name: Positional[str]
    """restorer, parser, encoder or toy; or the place of your own recipe, package.module:Class."""
    recipe: Suppress[Any] = None
    config: Suppress[Any] = None
    out: Suppress[Path] = Path("runs")
    json: Suppress[bool] = False


@dataclass(frozen=True)
class Evaluate:
    """Measures avatars, methods or priors against real or synthetic truth: JSON, table, pictures."""

    subjects: Positional[str]
    """What: .avatar files or methods (fit, fit:mesh, ...), with commas between; or a prior's name."""
    protocol: str
    """What is measured, see docs/evaluate.md; evaluate --protocol NAME --help lists its own options, too."""
    options: Suppress[Any] = None
    data: File = None
    """Folder (or file) of what it is compared with: clips, photos, synthetic heads; synthetic needs none."""
    out: Out = None
    """The folder of results; by default evaluation. A run that was interrupted is continued."""
    frames: int = 60
    """Frames of a clip, at most."""
    measured: int = 20
    """How many of them are compared picture by picture."""
    sources: int = 1
    """Pictures that an avatar is made from: the first frame, or so many of the first quarter."""
    limit: Number = None
    """At most so many items."""
    only: str = ""
    """These items alone, with commas between."""
    pairs: str = ""
    """cross-reenactment: source:driver,... by name; by default each clip is driven by the next."""
    lpips: File = None
    """Your weights of torchvision's alexnet or vgg16, or an .npz with AlexNet and heads: adds LPIPS."""
    lpips_heads: File = None
    """LPIPS's heads (alex.pth or vgg.pth of the lpips package); by default from an installed package."""
    arcface: File = None
    """Your InsightFace backbone (.pth): adds ArcFace similarity."""
    inception: File = None
    """Your copy of pytorch-fid's Inception weights: adds FID and KID on its features."""
    i3d: File = None
    """Your copy of pytorch-i3d's rgb_imagenet.pt: adds FVD."""
    sface: File = None
    """Your sface.onnx of OpenCV Zoo: adds SFace cosine, with --yunet."""
    yunet: File = None
    """Your yunet.onnx of OpenCV Zoo, the detector that aligns faces for SFace."""
    blendshapes: File = None
    """Your face_landmarker.task of MediaPipe: adds expression distance."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Prints a report as JSON."""


@dataclass(frozen=True)
class Restore:
    """A soft, noisy, small or compressed photo becomes a clear one. What the photo lacks is a guess."""

    photo: Positional[Path]
    """The photo."""
    out: Out = None
    """Where the .png goes; by default the photo's name with _restored in the current folder."""
    with_: Annotated[
        Literal["headcast", "gfpgan", "codeformer", "restoreformer", "realesrgan"], arg(name="with")
    ] = "headcast"
    """The network: headcast's own, or a published one whose weights you imported (see headcast weights)."""
    strength: float = 1.0
    """0 gives the photo back, 1 what the network says."""
    scale: Literal[1, 2, 4] = 1
    """Makes it so many times larger."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Prints a report as JSON."""


@dataclass(frozen=True)
class Texture:
    """Skin maps of a portrait, best of 4096 pixels: albedo, micronormal, specular; a GLB wears them."""

    photo: Positional[Path]
    """The photo; below 1024 pixels about the face it works at the photo's own resolution."""
    out: Out = None
    """The folder of maps; by default maps."""
    face: Number = None
    """Which face, counted from 1 by size, where there are several."""
    options: Suppress[Any] = None
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Prints a report as JSON."""


@dataclass(frozen=True)
class Weights:
    """Published networks: which can be brought along, which are here; converts their official checkpoints."""

    do: Positional[Literal["list", "import"]] = "list"
    """list, or import NETWORK FILE."""
    network: Positional[Text] = None
    """Which network, for import."""
    file: Positional[File] = None
    """Its official checkpoint, for import."""
    json: bool = False
    """Prints JSON."""


class Entry(NamedTuple):
    """A command: its flags, what runs it, and a function that gives a form of its own (``cli.forms``).

    Places are ``module:function``, imported when the command is used.
    """

    flags: type
    run: str
    form: str | None = None


HERE = "headcast.cli"
COMMANDS: dict[str, Entry] = {
    "create": Entry(Create, f"{HERE}.create:run_create", f"{HERE}.method_forms:create_form"),
    "animate": Entry(Animate, f"{HERE}.actions:run_animate", f"{HERE}.method_forms:animate_form"),
    "render": Entry(Render, f"{HERE}.actions:run_render"),
    "bake": Entry(Bake, f"{HERE}.actions:run_bake"),
    "export": Entry(Export, f"{HERE}.actions:run_export"),
    "observe": Entry(Observe, f"{HERE}.actions:run_observe"),
    "info": Entry(Info, f"{HERE}.actions:run_info"),
    "view": Entry(View, f"{HERE}.actions:run_view"),
    "synth": Entry(Synth, f"{HERE}.actions:run_synth"),
    "train": Entry(Train, f"{HERE}.train:run_train", f"{HERE}.train:train_form"),
    "evaluate": Entry(Evaluate, f"{HERE}.evaluate:run_evaluate", f"{HERE}.evaluate:evaluate_form"),
    "restore": Entry(Restore, f"{HERE}.restore:run_restore"),
    "texture": Entry(Texture, f"{HERE}.texture:run_texture", f"{HERE}.method_forms:texture_form"),
    "weights": Entry(Weights, f"{HERE}.weights:run_weights"),
    "doctor": Entry(Doctor, f"{HERE}.doctor:run_doctor"),
}
"""Every command, in the order of the help text: a new one is a class and a line."""
