"""Frames of videos, one for every so many seconds, by PyAV (the extra video)."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

MAX_FRAMES = 20_000  # of one video: five and a half hours, one a second
MAX_PIXELS = 40_000_000
SHOWN_SIDE_PX = 640
# Not playlists, which name other files.
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": "mov,mp4,matroska,webm,avi,ogg,mpeg,mpegts"}
_JUMP_S = 5.0  # what is nearer is decoded on the way rather than sought


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture of a video."""

    time_s: float
    width: int
    height: int
    pixels: bytes  # as PNG, for the model
    jpeg: bytes  # to be shown, its longer side at most SHOWN_SIDE_PX


def frames_of(path: Path, every_s: float) -> Iterator[Frame]:
    """Yield the first frame at or behind 0, every_s, 2 every_s, ... seconds, upright.

    Raises OSError for a file that is no video or breaks off, ValueError without PyAV.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError(f"{path} is a video. Next: pip install 'openwit[video]'") from error
    try:
        with av.open(str(path), options=_OPTIONS) as container:
            yield from _sampled(container, every_s)
    except av.FFmpegError as error:
        raise OSError(f"{path.name}: {error}") from error


def _sampled(container: Any, every_s: float) -> Iterator[Frame]:
    if not container.streams.video:
        raise OSError("there is no picture in it")
    stream = container.streams.video[0]
    _check_size(stream.codec_context.width, stream.codec_context.height)
    first_s = float((stream.start_time or 0) * stream.time_base)
    wanted, num_frames, frames = 0.0, 0, container.decode(stream)
    while num_frames < MAX_FRAMES:
        later = (each for each in frames if each.time is not None and each.time - first_s >= wanted)
        frame = next(later, None)
        if frame is None:
            return
        time_s = float(frame.time - first_s)
        yield _shown(frame, time_s)
        num_frames += 1
        wanted = every_s * (time_s // every_s + 1)
        if wanted - time_s > _JUMP_S:
            container.seek(round((first_s + wanted) / stream.time_base), stream=stream)
            frames = container.decode(stream)


def _shown(frame: Any, time_s: float) -> Frame:
    _check_size(frame.width, frame.height)  # it may change within a file
    picture = frame.to_image()
    # The file says by how much it is to be turned against the clock.
    picture = picture.rotate(frame.rotation, expand=True) if frame.rotation else picture
    small = picture.copy()
    small.thumbnail((SHOWN_SIDE_PX, SHOWN_SIDE_PX))
    return Frame(
        time_s=round(time_s, 3),
        width=picture.width,
        height=picture.height,
        pixels=_encoded(picture, "PNG", compress_level=0),
        jpeg=_encoded(small, "JPEG", quality=85),
    )


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise OSError(f"frames of {width} x {height} px are too large")


def _encoded(picture: Image.Image, form: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()
