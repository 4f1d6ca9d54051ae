"""Files are opened by their content; what names other files is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headcast.containers import first_audio, main_video, open_media
from headcast.errors import HeadcastError
from headcast.video import read_video
from headcast.video_out import write_video

av = pytest.importorskip("av", reason="the light core has no video codecs")

FRAMES = [np.full((64, 96, 3), 30 + 5 * k, np.uint8) for k in range(12)]


def mux(path: Path, format_: str) -> Path:
    """A short clip in a container, whatever the file's name says."""
    with av.open(f"file:{path}", "w", format=format_) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for rgb in FRAMES:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("format_", ["mp4", "mov", "matroska", "mpegts", "avi", "flv"])
@pytest.mark.parametrize("name", ["clip.MTS", "clip", "clip.jpg", "clip.qt"])
def test_the_name_does_not_matter(tmp_path: Path, format_: str, name: str) -> None:
    assert len(read_video(mux(tmp_path / name, format_)).frames) == len(FRAMES)


@pytest.mark.parametrize(
    "name", ["10:30:22 take.mp4", "http:x.mp4", "concat:a|b.mp4", "a %03d.mp4", "é 漢.mp4"]
)
def test_names_are_no_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)  # no folder before the colon
    write_video(Path(name), FRAMES, 25)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert len(read_video(Path(name)).frames) == len(FRAMES)


PLAYLISTS = {
    "concat": "ffconcat version 1.0\nfile '{}'\n",
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n{}\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{}</BaseURL></MPD>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", ["mp4", "m3u8", "sdp", "txt"])
def test_playlists_are_not_followed(tmp_path: Path, kind: str, suffix: str) -> None:
    target = mux(tmp_path / "target.ts", "mpegts")
    path = tmp_path / f"list.{suffix}"
    path.write_text(PLAYLISTS[kind].format(target.name))
    with pytest.raises(HeadcastError, match="text file"):
        read_video(path)


def test_giant_frames_are_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "bgr24"
        for rgb in FRAMES:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb[:, :64], format="bgr24")))
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 12  # BITMAPINFOHEADER: width, height
    data[at : at + 8] = struct.pack("<ii", 9000, 9000)
    path.write_bytes(data)
    with pytest.raises(HeadcastError, match="9000x9000"):
        read_video(path)


def test_cover_image_is_no_video(tmp_path: Path) -> None:
    Image.fromarray(FRAMES[0]).save(tmp_path / "cover.png")
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4") as out, av.open(str(tmp_path / "cover.png")) as cover:
        sound = out.add_stream("aac", rate=48000)
        sound.codec_context.layout = "mono"
        image = out.add_stream_from_template(cover.streams.video[0])
        image.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        packets = [*sound.encode(frame), *sound.encode(None)]
        for packet in cover.demux(cover.streams.video[0]):
            if packet.size:
                packet.stream = image
                out.mux(packet)
        for packet in packets:
            out.mux(packet)
    with open_media(path) as container:
        assert first_audio(container) is not None
        with pytest.raises(HeadcastError, match="no video stream"):
            main_video(container, path)
