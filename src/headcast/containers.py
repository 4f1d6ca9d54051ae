"""Open media files by their content: no playlists, no other files, no addresses in a file's name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headcast.errors import HeadcastError
from headcast.files import what_is

if TYPE_CHECKING:
    from av import AudioStream, VideoStream
    from av.container import InputContainer

__all__ = ["file_url", "first_audio", "main_video", "open_media"]

MAX_FRAME_PIXELS = 8192 * 8192

# FFmpeg's readers of files that hold their data themselves. Those of playlists (concat, hls, dash, sdp, imf),
# of file name patterns (image2) and of devices are left out: they open what a file's content names.
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,flv,live_flv,ogg,mxf,nut,rm,dv,gif,"
    "yuv4mpegpipe,h264,hevc,m4v,mjpeg,ivf,av1,obu,gxf,wtv,aac,ac3,eac3,aiff,amr,caf,flac,mp3,wav,w64,au"
)


def file_url(path: str | Path) -> str:
    """Return a file's name as FFmpeg takes it: with a colon in it, it is no address of a protocol."""
    return f"file:{path}"


def open_media(path: Path) -> InputContainer:
    """Open a video or sound file for reading.

    Raises:
        HeadcastError: it is neither, or one that names other files.
    """
    import av
    import av.error

    rules = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}
    try:
        return av.open(file_url(path), container_options=rules, metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError) as e:
        raise HeadcastError(f"{path}: {what_is(path)}, not a video that can be read; use MP4") from e


def main_video(container: InputContainer, path: Path) -> VideoStream:
    """Return the video stream to be read, its frames limited in size; cover images do not count.

    Raises:
        HeadcastError: there is none, no decoder for it, or its frames are too large.
    """
    from av.stream import Disposition

    candidates = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not candidates:
        raise HeadcastError(f"{path}: has no video stream, only others; give a video with a face")
    best = container.streams.best("video")
    stream = next((s for s in candidates if best is not None and s.index == best.index), candidates[0])
    if stream.codec_context is None:
        raise HeadcastError(f"{path}: its video codec is not known; convert it to H.264 in MP4")
    if stream.width * stream.height > MAX_FRAME_PIXELS:
        size, limit = f"{stream.width}x{stream.height}", MAX_FRAME_PIXELS // 10**6
        raise HeadcastError(f"{path}: frames of {size}, more than {limit} megapixels; reduce the video first")
    stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
    stream.thread_type = "AUTO"
    return stream


def first_audio(container: InputContainer) -> AudioStream | None:
    """Return the first sound stream that can be decoded, None when there is none."""
    return next((s for s in container.streams.audio if s.codec_context is not None), None)
