"""The commands and their options. The string under a field is the option's help text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from tyro.conf import Positional, Suppress, arg

from headcast.limits import POSITIVE, Limit
from headcast.registry import DEFAULT_METHOD

__all__ = [
    "COMMANDS",
    "Animate",
    "Bake",
    "Batch",
    "Completion",
    "Create",
    "Degrade",
    "Doctor",
    "Enhance",
    "Entry",
    "Evaluate",
    "Export",
    "Info",
    "Observe",
    "Refine",
    "Render",
    "Restore",
    "Studio",
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
    """Create an avatar from one photo, several photos or a video of one person."""

    sources: Positional[tuple[Path, ...]]
    """One or more photos, or one video."""
    out: Out = None
    """Output .avatar; by default the first source's name in the current folder."""
    method: str = DEFAULT_METHOD
    """The method, one of those above; each has options of its own."""
    face: Number = None
    """Which face of a photo or video, counted from 1 by size; by default the largest."""
    same_person: bool = False
    """All photos show one person, even where they seem to show two: they are not refused."""
    head: Literal["headcast", "flame", "ict"] = "headcast"
    """Head model: headcast's own, FLAME or ICT-FaceKit (from your copy of their files; see docs)."""
    flame: File = None
    """Your FLAME file (.pkl or .npz): with --head flame."""
    ict: File = None
    """Your ICT-FaceKit folder (or npz): with --head ict."""
    options: Suppress[Any] = None
    enhance: bool = False
    """Super-resolve the avatar afterwards (see headcast enhance); for small or soft photos."""
    consent: Text = None
    """Statement of consent by the person shown; stored in the avatar."""
    seed: int = 0
    """Random seed."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Print a report as JSON."""


@dataclass(frozen=True)
class Batch:
    """Create an avatar of every photo, video and sub-folder of photos of one person in a folder."""

    folder: Positional[Path]
    """Folder of photos and videos; a sub-folder holds photos of one person."""
    out: Annotated[Path, arg(aliases=["-o"], metavar="PATH")] = Path("avatars")
    """Output folder; what exists there is kept, an interrupted run is resumed."""
    method: str = DEFAULT_METHOD
    """The method, as in create; each has options of its own."""
    options: Suppress[Any] = None
    workers: Annotated[int | None, arg(metavar="INT"), Limit(0, 1024)] = None
    """Number of processes; 0, the default: as many as processors and memory allow."""
    ray: Text = None
    """Address of a Ray cluster that does the work instead, or auto; needs the extra 'cluster'."""
    timeout: Annotated[float | None, arg(metavar="SECONDS"), Limit(1, 1e6)] = None
    """Seconds that one avatar may take on this machine; by default any time."""
    retry: bool = False
    """Try photos again that were refused in an earlier run."""
    enhance: bool = False
    """Super-resolve every avatar afterwards (see headcast enhance)."""
    consent: Text = None
    """Statement of consent by the people shown; stored in every avatar."""
    seed: int = 0
    """Random seed."""
    json: bool = False
    """Print a report as JSON."""


@dataclass(frozen=True)
class Animate:
    """Animate an avatar: driven by a video, by a recording (Live Link Face, ARKit, FLAME), or by a preset."""

    avatar: Positional[Path]
    """The .avatar file; a photo with --method."""
    method: Text = None
    """An image animator that drives a photo without an avatar."""
    options: Suppress[Any] = None
    drive: File = None
    """Driver: a video, a Live Link Face .csv, ARKit weights (.json) or FLAME parameters (.npz)."""
    face: Number = None
    """Which face of a driving video, counted from 1 by size; by default the largest."""
    flame: File = None
    """Your FLAME file, for FLAME parameters."""
    preset: Text = None
    """Built-in motion: speech, expressions or turntable."""
    out: Out = None
    """Output .mp4; by default the avatar's name in the current folder."""
    camera: Literal["source", "driver"] = "source"
    """source: a portrait framing; driver: camera, size and frame count of the driving video."""
    light: Literal["source", "driver"] = "source"
    """source: the avatar's own light; driver: that on the same person in the driving video."""
    frames: Number = None
    """Maximum number of frames."""
    size: Size = None
    """Image size in pixels, for example 512 or 640x480; by default 512, or the driver's own."""
    fps: Rate = None
    """Frames per second; by default the driver's own, 30 for presets."""
    background: str = "grey"
    """Background colour: white, grey, black or #rrggbb."""
    side_by_side: bool = False
    """Show the driving video next to the avatar."""
    seed: int = 0
    """Random seed."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Print a report as JSON."""


@dataclass(frozen=True)
class Render:
    """Render one image of an avatar."""

    avatar: Positional[Path]
    """The .avatar file."""
    out: Out = None
    """Output .png; by default the avatar's name in the current folder."""
    view: Literal["front", "source"] = "front"
    """front: upright, neutral, portrait framing; source: camera, size, pose and expression of the photo."""
    yaw: float = 0.0
    """Degrees by which the camera orbits the head; positive shows more of the subject's left side."""
    pitch: float = 0.0
    """Elevation of the camera in degrees; positive looks from above."""
    expression: str = ""
    """name=weight,... by ARKit name, for example mouthSmileLeft=1,jawOpen=.3; or a .json file of the same."""
    size: Size = None
    """Image size in pixels, for example 512 or 640x480; by default 512, or the photo's own."""
    background: str = "transparent"
    """Background: transparent (straight alpha), white, grey, black or #rrggbb."""
    seed: int = 0
    """Random seed."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Print a report as JSON."""


@dataclass(frozen=True)
class Export:
    """Export an avatar to a file for Blender, game engines, splat viewers or a browser."""

    avatar: Positional[Path]
    """The .avatar file."""
    to: Literal["glb", "splat-ply", "mesh-ply", "spz", "html"] | None = None
    """Output format; by default from the output's suffix."""
    out: Out = None
    """Output file; by default the avatar's name in the current folder."""
    shading: Literal["lit", "baked"] | None = None
    """lit: de-lit albedo, for programs that shade it; baked: the photo's light is in the colours."""
    texture_size: Number = None
    """Longest side of the textures of a glb in pixels; by default unchanged."""
    expression: str = ""
    """For splats and mesh-ply, which hold one pose: name=weight,... or a .json file, as in render."""
    rigged: bool = False
    """splat-ply: Gaussians in the frames of triangles (binding_0), as GaussianAvatars stores them."""
    sh_degree: Number = None
    """splat-ply: pad SH coefficients with zeros up to this degree, 0 to 3; some viewers require 3."""
    axes: Literal["y-down", "y-up"] | None = None
    """splat-ply: y-down is upright in splat viewers (the default), y-up is the head frame."""
    subdivide: Number = None
    """mesh-ply: subdivision levels, 0 to 3 (each cuts a triangle into four); by default by texture size."""
    json: bool = False
    """Print a report as JSON."""


@dataclass(frozen=True)
class Bake:
    """Bake an avatar without a mesh (tri-planes) into Gaussians on a rigged mesh, for every exporter."""

    avatar: Positional[Path]
    """The .avatar file."""
    out: Out = None
    """Output .avatar; by default the avatar's name with _rigged in the current folder."""
    seed: int = 0
    """Random seed."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Print a report as JSON."""


@dataclass(frozen=True)
class Enhance:
    """Super-resolve a blurry avatar: ours, or a GaussianAvatars result. Detail that it lacks is a guess."""

    source: Positional[Path]
    """The .avatar file, or the point_cloud.ply of GaussianAvatars."""
    out: Out = None
    """Output .avatar; by default the source's name with _enhanced in the current folder."""
    flame_params: File = None
    """The flame_param.npz beside a point_cloud.ply."""
    flame: File = None
    """Your FLAME file, of the version that a point_cloud.ply was made with."""
    options: Suppress[Any] = None
    seed: int = 0
    """Random seed."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Print a report as JSON."""


@dataclass(frozen=True)
class Refine:
    """Improve an avatar by further photos or a video of the same person; unusable frames are left out."""

    avatar: Positional[Path]
    """The .avatar file, made by a method that keeps its evidence (create --method invertavatar)."""
    sources: Positional[tuple[Path, ...]]
    """One or more photos, or one video."""
    out: Out = None
    """Output .avatar; by default the avatar's name with _refined in the current folder."""
    face: Number = None
    """Which face of a photo or video, counted from 1 by size; by default the largest."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Print a report as JSON."""


@dataclass(frozen=True)
class Degrade:
    """Blur an avatar as if its photo had been smaller: an input for enhance whose truth is known."""

    avatar: Positional[Path]
    """The .avatar file."""
    out: Out = None
    """Output .avatar; by default the avatar's name with _degraded in the current folder."""
    factor: Annotated[float, Limit(1, 64)] = 4.0
    """How many times smaller the photo would have been."""
    json: bool = False
    """Print a report as JSON."""


@dataclass(frozen=True)
class Observe:
    """Report what is detected in a photo: landmarks, masks, fitted head, light; as text and images."""

    photo: Positional[Path]
    """The input photo."""
    out: Out = None
    """Output folder of the report; by default report."""
    face: Number = None
    """Which face, counted from 1 by size; by default the largest."""
    debug: bool = False
    """Write every intermediate image."""
    labels: bool = False
    """Also write the face parser's 14 labels as images."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Print the report as JSON."""


@dataclass(frozen=True)
class Info:
    """Show what an avatar file holds: kind, method, weights with licences, seed, consent, synthetic mark."""

    avatar: Positional[Path]
    """The .avatar file."""
    json: bool = False
    """Print the result as JSON."""


@dataclass(frozen=True)
class View:
    """Write one HTML file that animates the avatar in any browser, offline, with clips and screenshots."""

    avatar: Positional[Path]
    """The .avatar file."""
    out: Out = None
    """Output .html; by default the avatar's name in the current folder."""
    no_open: bool = False
    """Write the file and print its name, without opening a browser."""
    json: bool = False
    """Print a report as JSON."""


@dataclass(frozen=True)
class Studio:
    """Open the local web page: drop a photo, watch it become a head, move it, export it."""

    project: File = None
    """Folder of your heads; by default headcast-studio in your home folder."""
    host: str = "127.0.0.1"
    """Address to listen on; another than this machine's own lets others in who know the start address."""
    port: Annotated[int, Limit(0, 65535)] = 0
    """Port to listen on; 0 takes a free one."""
    no_open: bool = False
    """Print the address without opening a browser."""


@dataclass(frozen=True)
class Completion:
    """Print a script that completes commands and options: source <(headcast completion bash)."""

    shell: Positional[Literal["bash", "zsh", "fish"]] = "bash"
    """The shell."""


@dataclass(frozen=True)
class Doctor:
    """Check what works on this machine, what is missing and how to get it, and which model files exist."""

    places: Positional[tuple[Path, ...]] = ()
    """Model files or folders of them; by default the standard search paths."""
    convert: bool = False
    """Build the head models found (FLAME, ICT-FaceKit), so that create starts at once."""
    json: bool = False
    """Print the result as JSON."""


@dataclass(frozen=True)
class Synth:
    """Write synthetic heads with ground truth: images, masks, depth, normals, UV, skin maps, parameters."""

    identities: int
    """Number of people to generate."""
    out: Path
    """Output folder; an interrupted run is resumed."""
    split: Literal["train", "test"] = "train"
    """test uses held-out identities, skin, hair styles and lights."""
    size: Annotated[int, Limit(16, 4096)] = 256
    """Side of the images, pixels."""
    texture: Annotated[int, Limit(0, 8192)] = 0
    """Side of the skin maps, pixels; 0: twice the images'."""
    frames: int = 1
    """Frames (expressions) of each person."""
    views: Annotated[int, POSITIVE] = 1
    """Camera views of each frame."""
    clip: bool = False
    """Make the frames consecutive, at 25 fps, with a fixed camera."""
    framing: str = "portrait"
    """Camera distribution: portrait, eg3d, front, or a name that a method declares."""
    motion: tuple[Path, ...] = ()
    """Videos or recordings (as animate --drive) that drive the people; by default motion is procedural."""
    seed: int = 0
    """Random seed."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Print a report as JSON."""


@dataclass(frozen=True)
class Train:
    """Train a network that headcast ships, or resume; `headcast train NAME --help` lists its settings."""

    name: Positional[str]
    """restorer, parser, encoder or toy; or your own recipe as package.module:Class."""
    recipe: Suppress[Any] = None
    config: Suppress[Any] = None
    out: Suppress[Path] = Path("runs")
    json: Suppress[bool] = False


@dataclass(frozen=True)
class Evaluate:
    """Evaluate avatars, methods or priors against real or synthetic ground truth: JSON, table, images."""

    subjects: Positional[str]
    """Comma-separated .avatar files or methods (NAME or NAME:VARIANT); or the name of a prior."""
    protocol: str
    """Evaluation protocol, see docs/evaluate.md; evaluate --protocol NAME --help also lists its options."""
    options: Suppress[Any] = None
    data: File = None
    """Folder (or file) of reference data: clips, photos, synthetic heads; synthetic needs none."""
    out: Out = None
    """Output folder of results; by default evaluation. An interrupted run is resumed."""
    frames: int = 60
    """Maximum number of frames of a clip."""
    measured: int = 20
    """Number of these frames on which image metrics are computed."""
    sources: int = 1
    """Number of source images of an avatar: the first frame, or so many of the first quarter."""
    limit: Number = None
    """Maximum number of items."""
    only: str = ""
    """Evaluate these items only, comma-separated."""
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
    seed: int = 0
    """Random seed."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Print a report as JSON."""


@dataclass(frozen=True)
class Restore:
    """Restore a soft, noisy, small or compressed photo. Detail that the photo lacks is a guess."""

    photo: Positional[Path]
    """The input photo."""
    out: Out = None
    """Output .png; by default the photo's name with _restored in the current folder."""
    with_: Annotated[
        Literal["headcast", "gfpgan", "codeformer", "restoreformer", "realesrgan"], arg(name="with")
    ] = "headcast"
    """The network: headcast's own, or a published one whose weights you imported (see headcast weights)."""
    strength: float = 1.0
    """Blend weight: 0 returns the photo, 1 the output of the network."""
    scale: Literal[1, 2, 4] = 1
    """Upscaling factor of the output."""
    seed: int = 0
    """Random seed."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Print a report as JSON."""


@dataclass(frozen=True)
class Texture:
    """Estimate skin maps of a portrait, best of 4096 pixels: albedo, micronormal, specular; also as a GLB."""

    photo: Positional[Path]
    """The input photo; below 1024 pixels about the face it works at the photo's own resolution."""
    out: Out = None
    """Output folder of the maps; by default maps."""
    face: Number = None
    """Which face, counted from 1 by size, if there are several."""
    options: Suppress[Any] = None
    seed: int = 0
    """Random seed."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    json: bool = False
    """Print a report as JSON."""


@dataclass(frozen=True)
class Weights:
    """List published networks and which are imported; convert their official checkpoints."""

    do: Positional[Literal["list", "import"]] = "list"
    """Action: list, or import NETWORK FILE."""
    network: Positional[Text] = None
    """Network to import."""
    file: Positional[File] = None
    """Official checkpoint to import."""
    json: bool = False
    """Print the result as JSON."""


class Entry(NamedTuple):
    """A command: its flags, the function that runs it, and one that returns its own form (``cli.forms``).

    Functions are named ``module:function`` and imported when the command is used.
    """

    flags: type
    run: str
    form: str | None = None


HERE = "headcast.cli"
COMMANDS: dict[str, Entry] = {
    "create": Entry(Create, f"{HERE}.create:run_create", f"{HERE}.method_forms:create_form"),
    "studio": Entry(Studio, f"{HERE}.studio:run_studio"),
    "batch": Entry(Batch, f"{HERE}.batch:run_batch_command", f"{HERE}.method_forms:batch_form"),
    "animate": Entry(Animate, f"{HERE}.actions:run_animate", f"{HERE}.method_forms:animate_form"),
    "render": Entry(Render, f"{HERE}.actions:run_render"),
    "bake": Entry(Bake, f"{HERE}.actions:run_bake"),
    "enhance": Entry(Enhance, f"{HERE}.enhance:run_enhance", f"{HERE}.method_forms:enhance_form"),
    "refine": Entry(Refine, f"{HERE}.create:run_refine"),
    "degrade": Entry(Degrade, f"{HERE}.enhance:run_degrade"),
    "export": Entry(Export, f"{HERE}.actions:run_export"),
    "observe": Entry(Observe, f"{HERE}.actions:run_observe"),
    "info": Entry(Info, f"{HERE}.info:run_info"),
    "view": Entry(View, f"{HERE}.actions:run_view"),
    "synth": Entry(Synth, f"{HERE}.actions:run_synth"),
    "train": Entry(Train, f"{HERE}.train:run_train", f"{HERE}.train:train_form"),
    "evaluate": Entry(Evaluate, f"{HERE}.evaluate:run_evaluate", f"{HERE}.evaluate:evaluate_form"),
    "restore": Entry(Restore, f"{HERE}.restore:run_restore"),
    "texture": Entry(Texture, f"{HERE}.texture:run_texture", f"{HERE}.method_forms:texture_form"),
    "weights": Entry(Weights, f"{HERE}.weights:run_weights"),
    "doctor": Entry(Doctor, f"{HERE}.doctor:run_doctor"),
    "completion": Entry(Completion, f"{HERE}.completion:run_completion"),
}
"""Every command, in the order of the help text: a new one is a class and an entry here."""
