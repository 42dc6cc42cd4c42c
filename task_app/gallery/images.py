"""Smaller pictures, made of files that nobody can trust."""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from ..errors import UnusableInput

#: What is opened at all. Pillow knows seventy more formats, whose decoders are seldom looked at.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
#: A picture with more pixels isn't decoded: a file of a few KB can hold gigabytes. Cameras make up to 50 million. The
#: decoder of WebP keeps several copies. So none needs more than 400 MB.
MOST_PIXELS = {"PNG": 50_000_000, "JPEG": 50_000_000, "GIF": 50_000_000, "WEBP": 25_000_000}
#: How pictures are turned upright, by Exif's number for how the camera was held.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ON_ITS_SIDE = (TURNS[5], TURNS[6], TURNS[7], TURNS[8])
#: Modes in which the mean of two pixels is one.
MIXABLE = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr")
#: What a thumbnail is kept as, and how. GIF has too few colours for a picture that was made smaller.
KEPT_AS: dict[str, tuple[str, dict[str, int | bool]]] = {
    "JPEG": ("JPEG", {"quality": 85, "optimize": True, "progressive": True}),
    "WEBP": ("WEBP", {"quality": 85}),
    "PNG": ("PNG", {"optimize": True}),
    "GIF": ("PNG", {"optimize": True}),
}


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A smaller picture, as the bytes of a file, with nothing but the picture in it."""

    data: bytes
    type: str  # a media type
    suffix: str
    width: int
    height: int
    original_width: int
    original_height: int


def thumbnail(path: Path, width: int, check: Callable[[], None] = lambda: None) -> Thumbnail:
    """Make a picture at most `width` pixels wide, as it is meant to be seen; never a larger one than it is.

    Of an animation it is the first frame. `check` is called between the steps and may raise. Raises UnusableInput.
    """
    try:
        # Pillow warns at a limit of its own, which is another one.
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as image:
            return _made_smaller(image, width, check)
    except Image.DecompressionBombError as error:
        # Pillow's limit is higher than ours, and its words speak of its own.
        most = max(MOST_PIXELS.values())
        raise UnusableInput(f"the picture has too many pixels; {most:,} are the most") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # what Pillow's decoders raise for bad files
        if isinstance(error, UnidentifiedImageError):
            raise UnusableInput("the file is no picture in the formats PNG, JPEG, WebP or GIF") from error
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's problem, not the picture's
        raise UnusableInput(f"the picture is damaged: {error}") from error


def _made_smaller(image: Image.Image, width: int, check: Callable[[], None]) -> Thumbnail:
    original = image.size
    kind, pixels = image.format or "", image.width * image.height
    if pixels > MOST_PIXELS[kind]:
        raise UnusableInput(f"the picture has {pixels:,} pixels; {MOST_PIXELS[kind]:,} are the most")
    kept_as, options = KEPT_AS[kind]
    turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    size = _fitting(*image.size, width, is_on_its_side=turn in ON_ITS_SIDE)
    # A JPEG is decoded at an eighth, a quarter or half its size where that is enough: quickly, and into little memory.
    image.draft(None, (2 * size[0], 2 * size[1]))
    image.load()
    check()
    # Each step lets go of what the one before has made: the first pictures are the large ones.
    small = _roughly(image, size, kept_as)
    check()
    small = small.resize(size, Image.Resampling.LANCZOS)
    if turn is not None:
        small = small.transpose(turn)
    original = original[::-1] if turn in ON_ITS_SIDE else original
    # A new picture has no metadata: no place, no camera, no comment.
    clean = Image.new(small.mode, small.size)
    clean.paste(small)
    file = io.BytesIO()
    clean.save(file, kept_as, **options)
    suffix = kept_as.lower()
    return Thumbnail(file.getvalue(), f"image/{suffix}", suffix.replace("jpeg", "jpg"), *clean.size, *original)


def _fitting(across: int, down: int, width: int, *, is_on_its_side: bool) -> tuple[int, int]:
    """Return the size, before it is turned upright, of what will then be so wide."""
    if is_on_its_side:
        return tuple(reversed(_fitting(down, across, width, is_on_its_side=False)))  # type: ignore[return-value]
    width = min(width, across)
    return width, max(1, round(down * width / across))


def _roughly(image: Image.Image, size: tuple[int, int], kept_as: str) -> Image.Image:
    """Make a picture smaller by a whole number, to twice the size it shall have, in colours that can be mixed."""
    factor = max(1, min(image.width // size[0], image.height // size[1]) // 2)
    if image.mode in MIXABLE and not (image.mode == "RGB" and image.has_transparency_data):
        return image.reduce(factor).convert(_mode(image, kept_as))
    return image.convert(_mode(image, kept_as)).reduce(factor)


def _mode(image: Image.Image, kept_as: str) -> str:
    """Return the mode in which a picture can be made smaller and kept: grey, colours, colours with transparency."""
    if kept_as != "JPEG" and (image.has_transparency_data or image.mode in ("PA", "LA", "RGBA")):
        return "RGBA"
    return "L" if image.mode in ("1", "L") and kept_as != "WEBP" else "RGB"
