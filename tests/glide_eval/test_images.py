from __future__ import annotations

import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from glide_eval.errors import ImageError
from glide_eval.files import center_crop, decode_rgb, list_images, read_rgb
from glide_eval.files.images import read_many


def pixels(height: int = 24, width: int = 16, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, array: np.ndarray, **options) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tiff", "webp"])
def test_rgb_pixels_come_back_exactly(tmp_path, suffix):
    wanted = pixels()
    options = {"lossless": True} if suffix == "webp" else {}
    read = read_rgb(save(tmp_path / f"a.{suffix}", wanted, **options))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, wanted)


def test_a_jpeg_reads_as_pillow_reads_it(tmp_path):
    path = save(tmp_path / "a.jpg", pixels(), quality=95)
    np.testing.assert_array_equal(read_rgb(path), np.asarray(Image.open(path)))


def test_grey_becomes_three_equal_channels(tmp_path):
    grey = pixels(channels=1)
    read = read_rgb(save(tmp_path / "a.png", grey))
    np.testing.assert_array_equal(read, np.repeat(grey[..., None], 3, axis=2))


def test_opaque_alpha_is_dropped_and_transparency_is_refused(tmp_path):
    rgba = np.dstack([pixels(), np.full((24, 16), 255, np.uint8)])
    np.testing.assert_array_equal(read_rgb(save(tmp_path / "a.png", rgba)), rgba[..., :3])
    rgba[3, 4, 3] = 254
    with pytest.raises(ImageError, match=r"b\.png is partly transparent"):
        read_rgb(save(tmp_path / "b.png", rgba))


def test_grey_with_alpha_and_black_and_white_become_rgb_too(tmp_path):
    grey = pixels(channels=1)
    Image.fromarray(np.dstack([grey, np.full_like(grey, 255)]), "LA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), np.dstack([grey] * 3))
    Image.fromarray(grey > 127).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "b.png"), np.dstack([(grey > 127) * 255] * 3))


def test_orientation_in_the_files_metadata_is_ignored_as_the_metric_libraries_do(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter
    path = save(tmp_path / "a.png", pixels(), exif=exif)
    np.testing.assert_array_equal(read_rgb(path), pixels())
    turned = decode_rgb(path.read_bytes(), path, upright=True)
    np.testing.assert_array_equal(turned, np.rot90(pixels(), -1))


def test_of_a_cameras_multi_picture_jpeg_the_photograph_is_read(tmp_path):
    photograph, preview = (Image.fromarray(pixels(32, 32, seed=i)) for i in range(2))
    path = tmp_path / "a.jpg"
    photograph.save(path, "MPO", save_all=True, append_images=[preview], quality=95)
    photograph.save(tmp_path / "alone.jpg", quality=95)
    with Image.open(path) as opened:
        assert opened.n_frames == 2
    np.testing.assert_array_equal(read_rgb(path), read_rgb(tmp_path / "alone.jpg"))


def test_a_palette_keeps_its_colours_and_a_transparent_colour_is_refused(tmp_path):
    image = Image.fromarray(pixels()).quantize(8)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), np.asarray(image.convert("RGB")))
    image.save(tmp_path / "b.png", transparency=0)
    with pytest.raises(ImageError, match="transparent"):
        read_rgb(tmp_path / "b.png")


def test_sixteen_bits_a_channel_are_refused(tmp_path):
    deep = np.arange(24 * 16, dtype=np.uint16).reshape(24, 16) * 100
    for name in ("a.png", "a.tiff"):
        with pytest.raises(ImageError, match="more than 8 bits"):
            read_rgb(save(tmp_path / name, deep))


def test_sixteen_bit_colour_which_pillow_would_cut_silently_is_refused(tmp_path):
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)  # 2 × 1, 16 bits, RGB
    rows = zlib.compress(b"\0" + bytes(range(12)))
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    with Image.open(path) as opened:
        assert opened.mode == "RGB"
    with pytest.raises(ImageError, match="more than 8 bits"):
        read_rgb(path)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_an_animation_is_refused(tmp_path, name):
    frames = [Image.fromarray(pixels(seed=i)) for i in range(3)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="3 frames"):
        read_rgb(tmp_path / name)


def test_cmyk_is_refused(tmp_path):
    Image.fromarray(pixels()).convert("CMYK").save(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="CMYK image: expected RGB"):
        read_rgb(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
def test_a_truncated_file_is_an_error_that_names_it_even_if_pillow_was_told_to_bear_it(
    tmp_path, suffix, monkeypatch
):
    path = save(tmp_path / f"cut.{suffix}", pixels(64, 64))
    path.write_bytes(path.read_bytes()[:-200])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ImageError, match=rf"cut\.{suffix} is truncated or corrupt"):
        read_rgb(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_reading_in_many_threads_leaves_pillow_as_it_was_and_still_finds_every_truncated_file(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    paths = [save(tmp_path / f"{i}.png", pixels(64, 64, seed=i)) for i in range(40)]
    for path in paths[::2]:
        path.write_bytes(path.read_bytes()[:-200])

    def whole(path: Path) -> bool:
        try:
            return read_rgb(path).shape == (64, 64, 3)
        except ImageError:
            return False

    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(whole, paths)) == [False, True] * 20
    assert ImageFile.LOAD_TRUNCATED_IMAGES
    assert warnings.filters == before


def test_missing_empty_and_foreign_files_are_told_apart(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("captions")
    with pytest.raises(ImageError, match=r"gone\.png is missing"):
        read_rgb(tmp_path / "gone.png")
    with pytest.raises(ImageError, match=r"empty\.png is empty"):
        read_rgb(tmp_path / "empty.png")
    with pytest.raises(ImageError, match=r"text\.png is not an image.*b'captions'"):
        read_rgb(tmp_path / "text.png")
    with pytest.raises(ImageError, match="can't be read"):
        read_rgb(tmp_path)


def test_an_image_too_large_to_be_meant_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", pixels(64, 64))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 64 - 1)
    with pytest.raises(ImageError, match="too large"):
        read_rgb(path)
    with warnings.catch_warnings():  # outside tests Pillow's warning is no error
        warnings.simplefilter("ignore")
        with pytest.raises(ImageError, match=r"too large .* 4,096 pixels, at most 4,095"):
            read_rgb(path)


def test_a_folder_lists_images_in_order_and_says_what_else_is_there(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("b.png", "a.JPG", "deep/c.png", ".hidden/d.png", ".e.png"):
        save(tmp_path / name, pixels())
    (tmp_path / "captions.csv").write_text("file,caption\n")
    found = list_images(tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in found.images] == [
        "a.JPG", "b.png", "deep/c.png",
    ]  # fmt: skip
    assert [p.name for p in found.others] == ["captions.csv"]


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(ImageError, match="holds no image: found 1 other files"):
        list_images(tmp_path)
    with pytest.raises(ImageError, match="not a folder"):
        list_images(tmp_path / "nowhere")


def test_the_centre_crop_is_the_central_square_and_resizing_antialiases():
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 4:12] = 200
    np.testing.assert_array_equal(center_crop(wide, 8), np.full((8, 8, 3), 200, np.uint8))
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255  # finer than the small image can show: must become grey, not stripes
    small = center_crop(stripes, 16)[4:12, 4:12]
    assert np.abs(small.astype(int) - 127).max() <= 3


def test_images_already_of_the_size_are_untouched(tmp_path):
    paths = [save(tmp_path / "a.png", pixels(16, 16)), save(tmp_path / "b.png", pixels(40, 20))]
    first, second = read_many(paths, 16)
    np.testing.assert_array_equal(first, pixels(16, 16))
    assert second.shape == (16, 16, 3)
