"""Layout of video frames: turns and mirrors of the display matrix, interlaced fields to whole frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
    from av import VideoFrame
    from av.filter import Graph

__all__ = ["Deinterlacer", "DisplayTurn", "display_turn"]

FIXED_POINT = 65536.0
MAX_SKEW = 0.05  # fraction of a display matrix that may differ from a quarter turn without a note


class DisplayTurn(NamedTuple):
    """A turn by quarters with or without a mirror: first the transposition, then the flips.

    ``note`` says that the display matrix is something else, of which this is the nearest.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False
    note: str | None = None

    def apply(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
        """Return the upright image."""
        x = image.transpose(1, 0, 2) if self.transposed else image
        x = x[:, ::-1] if self.flip_x else x
        x = x[::-1] if self.flip_y else x
        return np.ascontiguousarray(x)


def display_turn(matrix: bytes | None) -> DisplayTurn:
    """Return the turn nearest to a display matrix (9 int32: a b u c d v x y w); None: no turn.

    A stored point (p, q) is shown at (a p + c q + x, b p + d q + y).
    """
    if matrix is None or len(matrix) < 36:
        return DisplayTurn()
    a, b, _, c, d, *_ = np.frombuffer(matrix[:36], np.int32) / FIXED_POINT
    straight, crossed = abs(a) + abs(d), abs(b) + abs(c)
    if straight + crossed == 0:
        return DisplayTurn(note="its display matrix is invalid and ignored")
    transposed = bool(crossed > straight)
    skewed = min(straight, crossed) > MAX_SKEW * max(straight, crossed)
    note = "its display matrix is no quarter turn; the nearest is applied" if skewed else None
    x, y = (c, b) if transposed else (a, d)
    return DisplayTurn(transposed, bool(x < 0), bool(y < 0), note)


class Deinterlacer:
    """Turn interlaced frames into whole ones, at the same rate (bwdif); others pass unchanged.

    The filter starts at the first frame that is marked as interlaced; it holds back one frame.
    """

    def __init__(self) -> None:
        self.graph: Graph | None = None
        self.layout: tuple[int, int, str] | None = None

    def frames(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """Take a decoded frame; yield those that are ready."""
        layout = (frame.width, frame.height, frame.format.name)
        if self.graph is not None and layout != self.layout:
            yield from self.rest()
        if self.graph is None and not frame.interlaced_frame:
            yield frame
            return
        if self.graph is None:
            self.graph, self.layout = bwdif_graph(frame), layout
        self.graph.vpush(frame)
        yield from self.ready()

    def rest(self) -> Iterator[VideoFrame]:
        """Yield the frames that are held back, at the end."""
        if self.graph is not None:
            self.graph.vpush(None)
            yield from self.ready()
            self.graph = None

    def ready(self) -> Iterator[VideoFrame]:
        """Yield the frames that the filter has finished."""
        import av.error

        while self.graph is not None:
            try:
                yield self.graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def bwdif_graph(frame: VideoFrame) -> Graph:
    """Build the filter for frames like this one."""
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    filter_, sink = graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
    source.link_to(filter_)
    filter_.link_to(sink)
    graph.configure()
    return graph
