"""The list of items: what is made of what, and about how long it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from outputs.inputs import PORTRAITS
from outputs.product import AVATARS, Product
from outputs.recipes import RECIPES, trained
from outputs.store import Item

__all__ = ["Entry", "catalogue"]

SMILE = "mouthSmileLeft=.8,mouthSmileRight=.8,jawOpen=.3"
LOOK = "eyeBlinkLeft=1,eyeLookOutRight=.7,eyeLookInLeft=.7,browInnerUp=.6"
KINDS = ("demo-mesh", "demo-gaussians", "demo-portrait4d")
QUICK_RECIPES = ("toy", "portrait4d.motion", "uhr.gde")
CREATE = {"mesh": 9, "gaussians": 13, "portrait4d": 4, "texture1k": 11, "texture4k": 46, "small": 12}


@dataclass(frozen=True)
class Entry:
    """One item.

    Attributes:
        make: makes it.
        cost: CPU seconds, about, without what it needs of other items.
        quick: whether it belongs to the quick subset.
    """

    name: str
    make: Callable[[Product], Item]
    cost: float
    quick: bool = False


def catalogue(names: list[str]) -> list[Entry]:
    """All items, in an order in which avatars precede what is made of them; ``names``: known recipes."""
    return [
        Entry("inputs", lambda p: p.results("inputs"), 1, True),
        *avatars(),
        *renders(),
        *animations(),
        *steps(),
        *exports(),
        *others(),
        *synths(),
        *(train(name) for name in [*names, *(n for n in RECIPES if n not in names)]),
    ]


def avatars() -> list[Entry]:
    """Every avatar, and the facts that ``info`` tells."""

    def make(name: str) -> Callable[[Product], Item]:
        def run(p: Product) -> Item:
            item = p.results(p.avatar(name))
            maps = Path(f"{name}.maps")
            return item | p.results(str(maps)).under("maps") if (p.work / maps).is_dir() else item

        return run

    found = [
        Entry(
            f"create.{n}",
            make(n),
            CREATE[n.partition("-")[2]] * (2 if n[:3] in ("two", "vid") else 1),
            n in KINDS,
        )
        for n in AVATARS
    ]
    return [*found, Entry("create.demo-baked", lambda p: p.results(p.baked()), 15)]


def renders() -> list[Entry]:
    """FaceImages: several views and faces of each kind, one of each portrait."""
    views: dict[str, tuple[str, ...]] = {
        "yaw30": ("--yaw", "30", "--expression", SMILE),
        "source": ("--view", "source"),
        "side": ("--yaw", "-75", "--pitch", "15", "--size", "640x480", "--background", "#203040"),
        "look": ("--expression", LOOK, "--background", "white"),
    }
    wanted = [
        (a, v)
        for a in KINDS
        for v in views
        if not (a == "demo-portrait4d" and v == "side")  # far outside of what these heads know
    ]
    wanted += [(a, "yaw30") for a in ("demo-texture1k", "demo-small", "video-gaussians", "two-gaussians")]
    wanted += [(f"{p}-gaussians", "yaw30") for p in PORTRAITS] + [
        (f"{p}-portrait4d", "look") for p in PORTRAITS
    ]

    def make(avatar: str, view: str) -> Callable[[Product], Item]:
        out = f"{avatar}-{view}.png"
        return lambda p: made(p, out, "render", p.avatar(avatar), *views[view], "-o", out)

    return [Entry(f"render.{a}-{v}", make(a, v), 2.2, v == "yaw30" and a in KINDS) for a, v in wanted]


def animations() -> list[Entry]:
    """Driven frames: a preset, recordings, a video."""
    drivers: dict[str, tuple[str, ...]] = {
        "speech": ("--preset", "speech", "--frames", "8"),
        "expressions": ("--preset", "expressions", "--frames", "12", "--fps", "5"),
        "turntable": ("--preset", "turntable", "--frames", "8", "--fps", "2"),
        "csv": ("--drive", "inputs/take.csv", "--frames", "6"),
        "json": ("--drive", "inputs/take.json", "--frames", "6", "--background", "black"),
        "video": ("--drive", "inputs/stills.mp4", "--side-by-side"),
        "driver": ("--drive", "inputs/stills.mp4", "--camera", "driver"),
    }
    wanted = [
        ("demo-mesh", "turntable"),
        ("demo-mesh", "csv"),
        ("demo-mesh", "video"),
        *(("demo-gaussians", d) for d in drivers),
        *(("demo-portrait4d", d) for d in ("speech", "csv", "json", "video", "driver")),
        ("g0039-gaussians", "csv"),
        ("g0355-portrait4d", "video"),
    ]

    def make(avatar: str, driver: str) -> Callable[[Product], Item]:
        out = f"{avatar}-{driver}.mp4"
        size = () if driver == "driver" else ("--size", "256")
        return lambda p: made(p, out, "animate", p.avatar(avatar), *drivers[driver], *size, "-o", out)

    return [Entry(f"animate.{a}-{d}", make(a, d), 7 if d in ("video", "driver") else 3) for a, d in wanted]


def steps() -> list[Entry]:
    """Frames of the runtime, which the command line has no door to: neck and gaze given."""

    def make(avatar: str) -> Callable[[Product], Item]:
        def run(p: Product) -> Item:
            script = Path(__file__).with_name("live.py").resolve()
            p.python(script, p.avatar(avatar), f"{avatar}-live.npz")
            return p.results(f"{avatar}-live.npz")

        return run

    return [Entry(f"live.{a}", make(a), 3) for a in KINDS]


def exports() -> list[Entry]:
    """Every format, from every kind that has it."""
    glb, ply = ("--to", "glb"), ("--to", "splat-ply")
    wanted: list[tuple[str, str, str, tuple[str, ...]]] = [
        ("demo-mesh", "lit", ".glb", (*glb, "--shading", "lit")),
        ("demo-mesh", "baked", ".glb", (*glb, "--shading", "baked", "--texture-size", "512")),
        ("demo-mesh", "mesh", ".ply", ("--to", "mesh-ply", "--expression", SMILE)),
        ("demo-gaussians", "lit", ".glb", glb),
        ("demo-gaussians", "splats", ".ply", (*ply, "--expression", SMILE)),
        ("demo-gaussians", "padded", ".ply", (*ply, "--sh-degree", "3", "--axes", "y-up")),
        ("demo-gaussians", "rigged", ".ply", (*ply, "--rigged")),
        ("demo-gaussians", "splats", ".spz", ("--to", "spz")),
        ("demo-gaussians", "viewer", ".html", ("--to", "html")),
        ("demo-portrait4d", "mesh", ".ply", ("--to", "mesh-ply")),
        ("demo-texture1k", "lit", ".glb", glb),
        ("demo-baked", "lit", ".glb", glb),
        ("demo-baked", "splats", ".ply", ply),
        ("g0133-gaussians", "splats", ".spz", ("--to", "spz", "--expression", LOOK)),
    ]
    quick = (("demo-mesh", "lit"), ("demo-gaussians", "rigged"), ("demo-portrait4d", "mesh"))

    def make(avatar: str, out: str, words: tuple[str, ...]) -> Callable[[Product], Item]:
        def run(p: Product) -> Item:
            source = p.baked() if avatar == "demo-baked" else p.avatar(avatar)
            item = made(p, out, "export", source, *words, "-o", out)
            for beside in sorted(p.work.glob(f"{Path(out).stem}.*.*")):
                if not beside.name.endswith(".run.json"):
                    item |= p.results(beside.name).under(beside.name)
            return item

        return run

    return [
        Entry(f"export.{a}-{what}-{end[1:]}", make(a, f"{a}-{what}{end}", words), 3.5, (a, what) in quick)
        for a, what, end, words in wanted
    ]


def others() -> list[Entry]:
    """Texture, restore, observe, info, view."""

    def photo(name: str, out: str, *words: str) -> Callable[[Product], Item]:
        def run(p: Product) -> Item:
            p.need(name)
            return made(p, out, words[0], f"inputs/{name}", *words[1:], "-o", out)

        return run

    network = ("--size", "512", "--prior", "network", "--format", "webp")

    def info(p: Product) -> Item:
        found = Item()
        for name in KINDS:
            (p.work / f"{name}.json").write_text(p("info", p.avatar(name), "--json"))
            found |= p.results(f"{name}.json").under(name)
        return found

    return [
        Entry("texture.demo", photo("astronaut.png", "demo-maps", "texture", "--size", "1k"), 12),
        Entry(
            "texture.network",
            photo("g0323.jpg", "g0323-maps", "texture", *network),
            10,
        ),
        Entry("restore.demo", photo("astronaut.png", "demo-restored.png", "restore"), 4),
        Entry("restore.portrait", photo("g0355.jpg", "g0355-restored.png", "restore", "--scale", "2"), 3),
        Entry("observe.demo", photo("astronaut.png", "demo-report", "observe", "--debug"), 4),
        Entry("observe.portrait", photo("g0039.jpg", "g0039-report", "observe", "--debug"), 4),
        Entry("observe.labels", photo("g0133.jpg", "g0133-report", "observe", "--debug", "--labels"), 5),
        Entry("info", info, 4, True),
    ]


def synths() -> list[Entry]:
    """Synthetic heads: every framing, several people, views and moments, a clip, recorded motion."""
    two = ("--identities", "2", "--size", "128")
    wanted: dict[str, tuple[str, ...]] = {
        "portrait": (*two, "--views", "2", "--frames", "2"),
        "portrait4d": (*two, "--views", "3"),
        "eg3d": (*two, "--seed", "5"),
        "front": (*two, "--split", "test", "--texture", "512"),
    }
    found = {f"synth.{k}": (*v, "--framing", k) for k, v in wanted.items()}
    found["synth.clip"] = ("--identities", "1", "--size", "96", "--frames", "4", "--clip")
    found["synth.recorded"] = (*found["synth.clip"], "--motion", "inputs/take.csv")

    def make(name: str, words: tuple[str, ...]) -> Callable[[Product], Item]:
        return lambda p: made(p, name, "synth", *words, "--out", name)

    return [Entry(n, make(n, w), 6, n in ("synth.portrait", "synth.front")) for n, w in found.items()]


def train(name: str) -> Entry:
    """Ten steps."""
    return Entry(f"train.{name}", lambda p: trained(p, name), 10, name in QUICK_RECIPES)


def made(product: Product, out: str, *words: object) -> Item:
    """What a command wrote."""
    product(*words)
    return product.results(out)
