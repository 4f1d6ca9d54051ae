"""What a method is, and how the rest of headcast reaches one.

A method's folder declares its classes as strings (``headcast.registry``); nothing above names it. Methods
never import each other: what they need of the default method comes from ``reconstruct_mesh``, ``get_method``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    Protocol,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

from headcast import registry
from headcast.errors import HeadcastError
from headcast.limits import check_fields
from headcast.progress import Progress

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

    from headcast.avatar.base import Avatar
    from headcast.avatar.mesh import MeshAvatar
    from headcast.head.model import HeadModel
    from headcast.observe.types import Observation
    from headcast.video import Clip

__all__ = [
    "AnyMethod",
    "BaseMethod",
    "Enhancer",
    "ImageAnimator",
    "Method",
    "MethodOptions",
    "SkinMapper",
    "Updater",
    "animator_names",
    "enhancer_names",
    "get_animator",
    "get_enhancer",
    "get_method",
    "get_skin_mapper",
    "get_updater",
    "make_options",
    "method_names",
    "reconstruct_mesh",
    "skin_mapper_names",
]


@dataclass(frozen=True)
class MethodOptions:
    """Base of every method's options: a frozen dataclass whose fields become command-line flags.

    The string under a field is its help text. A method without options uses this class as it is.
    """

    def for_output(self, out: Path) -> MethodOptions:
        """Fill in what depends on the avatar's file: places of files beside it."""
        return self


@runtime_checkable
class AnyMethod(Protocol):
    """What every registered method says about itself, whatever it makes.

    Attributes:
        name: as users type it.
        description: one line for help texts and tables.
        Options: dataclass of the options that it alone takes.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    Options: ClassVar[type[MethodOptions]]

    def available(self) -> bool:
        """Tell whether it can run here: weights and packages are present. Cheap; loads nothing."""
        ...

    def check(self, options: Any) -> None:
        """Refuse early, before anything is observed or loaded.

        Raises:
            HeadcastError: what is missing or contradictory, and the remedy.
        """
        ...

    def version(self) -> str:
        """Return what results depend on beside the code: hashes of weights; empty: no weights."""
        ...


@runtime_checkable
class Method(AnyMethod, Protocol):
    """A way to make an avatar from observations of one person.

    Attributes:
        variants: options worth a column of their own in evaluation tables (``NAME:VARIANT``), by name.
        leaves_out: whether frames that cannot be used are left out with a note, not refused.
    """

    variants: ClassVar[Mapping[str, MethodOptions]]
    leaves_out: ClassVar[bool]

    def observe_fraction(self, options: Any) -> float:
        """Return the part of the whole job's time that observing the photos takes, for progress and ETA."""
        ...

    def clip_frames(self, options: Any) -> int | None:
        """Return how many frames of a video it learns from, at most; None: the usual few keyframes."""
        ...

    def reconstruct(
        self,
        observations: Sequence[Observation],
        head: HeadModel,
        options: Any,
        *,
        seed: int = 0,
        consent: str | None = None,
        progress: Progress | None = None,
    ) -> Avatar:
        """Reconstruct the avatar.

        Args:
            observations: photos or frames of one person; the first gives the source view.
            head: the head model that they were fitted with.
            options: an instance of ``Options``.
            seed: of everything random.
            consent: statement of the person shown, kept in the avatar.
        """
        ...


@runtime_checkable
class Enhancer(Method, Protocol):
    """A method that can also improve an avatar that exists."""

    def enhance(
        self, avatar: Avatar, options: Any, *, seed: int = 0, progress: Progress | None = None
    ) -> Avatar:
        """Return a better avatar of the same person."""
        ...


@runtime_checkable
class Updater(Method, Protocol):
    """A method whose avatars take in later evidence."""

    def update(
        self,
        avatar: Avatar,
        observations: Sequence[Observation],
        options: Any,
        *,
        progress: Progress | None = None,
    ) -> Avatar:
        """Return the avatar improved by further observations of the same person."""
        ...


@runtime_checkable
class ImageAnimator(AnyMethod, Protocol):
    """A method that animates a photo without making an avatar."""

    def weights_in_use(self, options: Any) -> tuple[Mapping[str, str], ...]:
        """Return name, hash and licence of the weights that are not bundled, for the record."""
        ...

    def animate_image(
        self,
        photo: UInt8[np.ndarray, "h w 3"],
        driver: Clip,
        options: Any,
        *,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Iterator[UInt8[np.ndarray, "h2 w2 3"]]:
        """Yield one frame for every frame of the driving clip."""
        ...


@runtime_checkable
class SkinMapper(AnyMethod, Protocol):
    """A method that makes high-resolution skin maps of a photo, for an avatar to wear."""

    def check_size(self, size: str) -> None:
        """Refuse a size (``4k``, or texels) that cannot be made, and missing weights.

        Raises:
            HeadcastError: the reason and the remedy.
        """
        ...

    def map_photo(
        self,
        observation: Observation,
        head: HeadModel,
        folder: Path,
        options: Any,
        *,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> tuple[str, ...]:
        """Write the maps of a photo and a GLB that wears them into a folder; return notes for the user."""
        ...

    def apply(
        self,
        avatar: MeshAvatar,
        observation: Observation,
        head: HeadModel,
        size: str,
        folder: Path | None,
        *,
        progress: Progress | None = None,
    ) -> MeshAvatar:
        """Return a fitted avatar that wears the maps of its first photo; all of them go to ``folder``."""
        ...

    def base_texture_size(self) -> int:
        """Return the texture size of the avatar below the maps, which shows only where they know nothing."""
        ...


class BaseMethod:
    """Defaults for methods that need no weights: always available, nothing to check."""

    name: ClassVar[str] = ""
    description: ClassVar[str] = ""
    Options: ClassVar[type[MethodOptions]] = MethodOptions
    variants: ClassVar[Mapping[str, MethodOptions]] = {}
    leaves_out: ClassVar[bool] = False

    def available(self) -> bool:
        """Return True: nothing is needed."""
        return True

    def check(self, options: Any) -> None:
        """Accept any options: nothing can be missing."""

    def version(self) -> str:
        """Return nothing: no weights take part."""
        return ""

    def observe_fraction(self, options: Any) -> float:
        """Assume that observing takes a third of the time."""
        return 1 / 3

    def clip_frames(self, options: Any) -> int | None:
        """Return None: a video's keyframes are enough."""
        return None

    def weights_in_use(self, options: Any) -> tuple[Mapping[str, str], ...]:
        """Return nothing: no weights but bundled ones take part."""
        return ()


def method_names() -> tuple[str, ...]:
    """Return the names that ``create --method`` takes, the default method first."""
    names = registry.collect("methods")
    return tuple(sorted(names, key=lambda n: n != registry.DEFAULT_METHOD))


def animator_names() -> tuple[str, ...]:
    """Return the names of image animators."""
    return tuple(registry.collect("animators"))


def skin_mapper_names() -> tuple[str, ...]:
    """Return the names of methods that make skin maps."""
    return tuple(registry.collect("skin_mappers"))


def enhancer_names() -> tuple[str, ...]:
    """Return the names of methods that can enhance an avatar that exists."""
    return tuple(n for n in method_names() if isinstance(get_method(n), Enhancer))


def get_method(name: str = registry.DEFAULT_METHOD) -> Method:
    """Return a method by name.

    Raises:
        HeadcastError: there is none of this name.
    """
    return _get("methods", name, "--method")


def get_enhancer(name: str | None = None) -> Enhancer:
    """Return an enhancer by name; None: the first that is registered.

    Raises:
        HeadcastError: there is none (of this name).
    """
    names = enhancer_names()
    if not names or (name is not None and name not in names):
        known = ", ".join(names) or "none here"
        raise HeadcastError(f"--method {name}: does not enhance avatars; give one of: {known}")
    return _get("methods", name or names[0], "--method")


def get_updater(avatar: Avatar) -> Updater:
    """Return the method that takes later evidence into an avatar.

    Raises:
        HeadcastError: its kind keeps no evidence.
    """
    own = [n for n in method_names() if isinstance(get_method(n), Updater)]
    if avatar.kind not in own:
        remedy = f"create it with --method {own[0]}" if own else "reinstall headcast"
        raise HeadcastError(f"refine: this avatar ({avatar.kind}) keeps no evidence to go on from; {remedy}")
    return _get("methods", avatar.kind, "--method")


def get_animator(name: str) -> ImageAnimator:
    """Return an image animator by name.

    Raises:
        HeadcastError: there is none of this name.
    """
    return _get("animators", name, "--method")


def get_skin_mapper(name: str | None = None) -> SkinMapper:
    """Return a skin mapper by name; None: the first that is registered.

    Raises:
        HeadcastError: there is none (of this name).
    """
    names = skin_mapper_names()
    if not names:
        raise HeadcastError("texture: no method here makes skin maps; reinstall headcast")
    return _get("skin_mappers", name or names[0], "--method")


def _get(what: str, name: str, flag: str) -> Any:
    places = registry.collect(what)
    if name not in places:
        known = ", ".join(places) or "none here"
        raise HeadcastError(f"{flag} {name}: unknown; give one of: {known}")
    return registry.load_entry(places[name])()


def make_options(method: AnyMethod, options: MethodOptions | Mapping[str, Any] | None) -> MethodOptions:
    """Return options of a method, from an instance, a mapping by field name, or None for the defaults.

    Raises:
        HeadcastError: a name that is no option of this method; options of another method; a number out of
            range.
    """
    if options is None:
        return method.Options()
    if isinstance(options, method.Options):
        check_fields(options)
        return options
    if not isinstance(options, Mapping):
        wanted, given = method.Options.__name__, type(options).__name__
        raise HeadcastError(f"method {method.name}: takes {wanted}, not {given}")
    hints = get_type_hints(method.Options)
    for name, value in options.items():
        if name not in hints:
            known = ", ".join(f.name for f in fields(method.Options)) or "none"
            raise HeadcastError(f"method {method.name}: has no option {name}; its options: {known}")
        choices = get_args(hints[name]) if get_origin(hints[name]) is Literal else (value,)
        if value not in choices:
            flag = name.replace("_", "-")
            raise HeadcastError(f"--{flag} {value}: unknown; give {' or '.join(map(str, choices))}")
    made = method.Options(**options)
    check_fields(made)
    return made


def reconstruct_mesh(
    observations: Sequence[Observation],
    head: HeadModel,
    *,
    texture_size: int | None = None,
    seed: int = 0,
    consent: str | None = None,
    progress: Progress | None = None,
) -> MeshAvatar:
    """Reconstruct the default method's textured mesh: what other methods build on.

    Args:
        texture_size: side of the texture, texels; None: as the photos' detail asks.
    """
    method = get_method()
    options = make_options(method, {"representation": "mesh", "texture_size": texture_size})
    avatar = method.reconstruct(observations, head, options, seed=seed, consent=consent, progress=progress)
    assert avatar.mesh is not None, "the default method makes meshes"
    return avatar.mesh
