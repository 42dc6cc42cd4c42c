"""Pictures that are made smaller, and files that only look like pictures."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PIL")

from PIL import Image, PngImagePlugin

from task_app.errors import JobCancelled, UnusableInput
from task_app.gallery import images
from task_app.gallery.images import Thumbnail, thumbnail

from ..gallery import megabytes_for

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
ORIENTATION = 0x0112


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return tmp_path / "picture"


def made(path: Path, image: Image.Image, kind: str, width: int = 40, **options: Any) -> tuple[Thumbnail, Image.Image]:
    image.save(path, kind, **options)
    small = thumbnail(path, width)
    opened = Image.open(io.BytesIO(small.data))
    opened.load()
    assert opened.size == (small.width, small.height)
    return small, opened


def halves(size: tuple[int, int] = (200, 100)) -> Image.Image:
    """Return a picture that is red on the left and blue on the right."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    return image


def colour(image: Image.Image, x: int, y: int) -> str:
    red, _, blue = image.convert("RGB").getpixel((x, y))  # type: ignore[misc]
    return "red" if red > 200 and blue < 60 else "blue" if blue > 200 and red < 60 else "other"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_is_made_smaller_in_proportion(picture: Path, kind: str) -> None:
    small, image = made(picture, halves(), kind)
    assert (small.width, small.height, small.original_width, small.original_height) == (40, 20, 200, 100)
    assert image.format == ("PNG" if kind == "GIF" else kind)
    assert small.type == f"image/{str(image.format).lower()}"
    assert (colour(image, 5, 10), colour(image, 35, 10)) == ("red", "blue")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_is_never_made_larger(picture: Path, kind: str) -> None:
    small, _ = made(picture, halves((20, 10)), kind, width=1000)
    assert (small.width, small.height) == (20, 10)


@pytest.mark.parametrize("size", [(4000, 1), (1, 4000), (1, 1)])
def test_pictures_of_one_line_keep_one(picture: Path, size: tuple[int, int]) -> None:
    small, _ = made(picture, Image.new("RGB", size), "PNG", width=10)
    assert (small.width, small.height) == (min(10, size[0]), size[1])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr"])
def test_every_kind_of_colours(picture: Path, mode: str) -> None:
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    small, image = made(picture, Image.new(mode, (100, 50)), kind)
    assert small.width == 40
    assert image.mode in ("L", "RGB", "RGBA")


def test_transparency_is_kept(picture: Path) -> None:
    clear = Image.new("RGBA", (100, 50), (255, 0, 0, 0))
    for kind in ("PNG", "WEBP"):
        _, image = made(picture, clear, kind)
        assert image.convert("RGBA").getpixel((5, 5))[3] == 0  # type: ignore[index]


@pytest.mark.parametrize(
    ("orientation", "size", "red_at"), [(3, (40, 20), (35, 10)), (6, (20, 40), (10, 5)), (8, (20, 40), (10, 35))]
)
def test_a_picture_is_upright_as_its_camera_meant_it(
    picture: Path, orientation: int, size: tuple[int, int], red_at: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    small, image = made(picture, halves((1600, 800)), "JPEG", width=size[0], exif=exif)
    assert (small.width, small.height) == size
    assert colour(image, *red_at) == "red"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_nothing_but_the_picture_is_kept(picture: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera that tells"
    options: dict[str, Any] = {"exif": exif, "icc_profile": b"profile that tells" * 10}
    if kind == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Comment", "a comment that tells")
    small, image = made(picture, halves(), kind, **options)
    assert b"that tells" in picture.read_bytes()
    assert b"that tells" not in small.data
    assert not image.getexif()


def test_of_an_animation_the_first_frame_counts(picture: Path) -> None:
    frames = [Image.new("RGB", (50, 50), name) for name in ("red", "blue")]
    _, image = made(picture, frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert colour(image, 5, 5) == "red"


# -- what is refused ---------------------------------------------------------------------------------------------


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """Return a PNG that claims to be so large."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(data)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def png_with_a_bomb_of_text() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * 80_000_000, zip=True)
    file = io.BytesIO()
    halves().save(file, "PNG", pnginfo=info)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no picture"),
        (b"a,b\n1,2\n", "no picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
        (png(10_000, 10_000), "100,000,000 pixels; 50,000,000 are the most"),
        (png(2**31 - 1, 2**31 - 1), "too many pixels; 50,000,000 are the most"),
        (png(60_000, 60_000), "too many pixels; 50,000,000 are the most"),
        (png(100, 100), "damaged"),
        (png_with_a_bomb_of_text(), "damaged"),
    ],
    ids=["empty", "csv", "svg", "eps", "large", "huge", "between", "no pixels", "bomb in a comment"],
)
def test_what_is_no_picture_is_refused_with_the_reason(picture: Path, content: bytes, problem: str) -> None:
    picture.write_bytes(content)
    with pytest.raises(UnusableInput, match=problem):
        thumbnail(picture, 100)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "ICO", "PPM", "TGA"])
def test_other_formats_are_refused_though_pillow_knows_them(picture: Path, kind: str) -> None:
    halves((64, 64)).save(picture, kind)
    with pytest.raises(UnusableInput, match="no picture in the formats"):
        thumbnail(picture, 10)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_that_ends_too_early_is_refused(picture: Path, kind: str) -> None:
    noise = Image.effect_noise((200, 200), 80).convert("RGB")
    noise.save(picture, kind)
    content = picture.read_bytes()
    for part in (0.1, 0.5, 0.9):
        picture.write_bytes(content[: int(len(content) * part)])
        with pytest.raises(UnusableInput, match=r"damaged|no picture"):
            thumbnail(picture, 50)


@pytest.mark.parametrize("kind", FORMATS)
def test_damage_anywhere_is_refused_or_survived(picture: Path, kind: str) -> None:
    Image.effect_noise((40, 40), 80).convert("RGB").save(picture, kind)
    content = bytearray(picture.read_bytes())
    for place in range(0, len(content), max(1, len(content) // 150)):
        damaged = content.copy()
        damaged[place] ^= 0xFF
        picture.write_bytes(damaged)
        try:
            assert thumbnail(picture, 20).width <= 20
        except UnusableInput:
            continue


def test_a_file_that_is_away_is_no_fault_of_the_picture(picture: Path) -> None:
    with pytest.raises(FileNotFoundError):
        thumbnail(picture, 10)


def test_a_cancel_ends_the_work_between_two_steps(picture: Path) -> None:
    halves().save(picture, "PNG")

    def cancelled() -> None:
        raise JobCancelled("cancelled")

    with pytest.raises(JobCancelled):
        thumbnail(picture, 10, cancelled)


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [("PNG", "RGB", {}), ("PNG", "P", {}), ("JPEG", "RGB", {"progressive": True}), ("WEBP", "RGB", {})],
)
def test_the_largest_picture_needs_no_more_memory_than_is_said(
    picture: Path, kind: str, mode: str, options: dict[str, Any]
) -> None:
    Image.new(mode, (10_000, images.MOST_PIXELS[kind] // 10_000)).save(picture, kind, **options)
    work = "assert thumbnail(Path(sys.argv[1]), 320).width == 320"
    assert megabytes_for("from task_app.gallery.images import thumbnail", work, str(picture)) < 400
