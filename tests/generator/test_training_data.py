"""Sources of captioned pictures, how they are cut to size, and the order they come in."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.errors import DataError
from generator.training.pictures import Framing, Shuffled
from generator.training.sources import coco, folder
from generator.training.tars import Tars


def picture(shade: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new("RGB", size, (shade, shade, shade))


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    picture(shade).save(buffer, "PNG")
    return buffer.getvalue()


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def captions_of(pictures, index: int) -> set[str]:
    draw = rng()
    return {pictures.item(index, draw)[1] for _ in range(40)}


def test_a_folder_with_a_table_draws_one_of_several_captions_and_names_what_it_leaves_out(tmp_path):
    (tmp_path / "deep").mkdir()
    picture(10).save(tmp_path / "deep/a.png")
    picture(20).save(tmp_path / "b.jpg")
    table = "file,caption\ndeep/a.png,one\ndeep/a.png,two\ngone.png,nothing\n"
    (tmp_path / "captions.csv").write_text(table)
    pictures = folder(tmp_path)
    assert len(pictures) == 1
    assert captions_of(pictures, 0) == {"one", "two"}
    assert pictures.notes == [
        "1 captioned files are missing and not used: gone.png.",
        "1 pictures have no caption and are not used: b.jpg.",
    ]


def test_captions_may_lie_beside_their_pictures(tmp_path):
    picture(10).save(tmp_path / "cat.png")
    (tmp_path / "cat.txt").write_text("a cat\n\na sleeping cat\n")
    pictures = folder(tmp_path)
    assert captions_of(pictures, 0) == {"a cat", "a sleeping cat"}
    before = pictures.digest()
    (tmp_path / "cat.txt").write_text("a dog\n")
    assert folder(tmp_path).digest() != before


def test_coco_captions_find_their_pictures(tmp_path):
    (tmp_path / "val").mkdir()
    picture(10).save(tmp_path / "val/1.png")
    content = {
        "images": [{"id": 7, "file_name": "1.png"}, {"id": 8, "file_name": "2.png"}],
        "annotations": [
            {"image_id": 7, "caption": "a plate"},
            {"image_id": 7, "caption": "food"},
            {"image_id": 8, "caption": "not downloaded"},
        ],
    }
    (tmp_path / "captions.json").write_text(json.dumps(content))
    pictures = coco(tmp_path / "captions.json", tmp_path / "val")
    assert len(pictures) == 1
    assert captions_of(pictures, 0) == {"a plate", "food"}
    (tmp_path / "captions.json").write_text("[]")
    with pytest.raises(DataError, match="`annotations`"):
        coco(tmp_path / "captions.json", tmp_path / "val")


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_tars_give_any_sample_at_will(tmp_path):
    write_tar(
        tmp_path / "0.tar",
        {"a/1.png": png(10), "a/1.txt": b"first", "a/2.png": png(20), "a/2.json": b'{"id": 1}'},
    )
    write_tar(
        tmp_path / "1.tar",
        {"3.txt": b"no picture", "4.json": b'{"caption": ["x", "y"]}', "4.png": png(40)},
    )
    pictures = Tars([tmp_path / "1.tar", tmp_path / "0.tar"])
    assert [pictures.name(i).rsplit("/", 1)[-1] for i in range(3)] == ["1", "2", "1.tar:4"]
    image, caption = pictures.item(0, rng())
    assert (image.getpixel((0, 0)), caption) == ((10, 10, 10), "first")
    assert captions_of(pictures, 2) == {"x", "y"}
    assert "1 samples lack a picture or a caption" in pictures.notes[0]


def test_a_tar_cut_short_or_compressed_is_refused_with_what_to_do(tmp_path):
    write_tar(tmp_path / "0.tar", {"1.png": png(10) * 50, "1.txt": b"x"})
    (tmp_path / "0.tar").write_bytes((tmp_path / "0.tar").read_bytes()[:2000])
    with pytest.raises(DataError, match="copy a tar that was cut short again"):
        Tars([tmp_path / "0.tar"])
    (tmp_path / "1.tar").write_bytes(b"\x1f\x8b" + bytes(600))
    with pytest.raises(DataError, match="gunzip"):
        Tars([tmp_path / "1.tar"])


@pytest.mark.parametrize("tables", ["captions.csv", "captions.jsonl"])
def test_a_table_of_another_form_says_what_was_expected(tmp_path, tables):
    (tmp_path / tables).write_text('{"name": 1}\n' * 3)
    with pytest.raises(DataError, match="`file` and `caption`"):
        folder(tmp_path)


def test_a_folder_without_captions_says_how_to_give_them(tmp_path):
    picture(1).save(tmp_path / "cat.png")
    with pytest.raises(DataError, match=r"cat\.txt beside cat\.png"):
        folder(tmp_path)


def test_the_centre_square_is_cut_and_reduced():
    values = np.zeros((20, 60, 3), np.uint8)
    values[:, 20:40] = 200
    square = Framing(10).cut(Image.fromarray(values), rng())
    np.testing.assert_array_equal(square, np.full((10, 10, 3), 200, np.uint8))


def test_transparency_deep_greys_and_cmyk_become_rgb():
    framing = Framing(4)
    clear = Image.new("RGBA", (4, 4), (10, 10, 10, 0))
    assert (framing.cut(clear, rng()) == 255).all()
    deep = Image.fromarray(np.full((4, 4), 128 * 257, np.uint16))
    assert (framing.cut(deep, rng()) == 128).all()
    assert framing.cut(Image.new("CMYK", (4, 4)), rng()).shape == (4, 4, 3)


def shuffled(tmp_path: Path, count: int = 10) -> Shuffled:
    for i in range(count):
        picture(20 * i).save(tmp_path / f"{i}.png")
        (tmp_path / f"{i}.txt").write_text(f"shade {i}")
    return Shuffled(folder(tmp_path), Framing(8), batch=5, seed=3)


def test_every_picture_comes_once_an_epoch_in_another_order_each(tmp_path):
    source = shuffled(tmp_path)
    drawn = [source.draw(np.random.default_rng(n), n) for n in range(4)]
    for images, captions in drawn:
        assert [f"shade {image[0, 0, 0] // 20}" for image in images] == captions
    first, second = drawn[0][1] + drawn[1][1], drawn[2][1] + drawn[3][1]
    assert sorted(first) == sorted(second) == [f"shade {i}" for i in range(10)]
    assert first != second


def test_a_batch_is_the_same_whenever_it_is_drawn(tmp_path):
    early, late = shuffled(tmp_path), shuffled(tmp_path)
    early.draw(rng(), 0)
    for a, b in zip(early.draw(rng(), 7), late.draw(rng(), 7), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_broken_picture_is_left_out_counted_and_replaced(tmp_path):
    source = shuffled(tmp_path)
    (tmp_path / "4.png").write_bytes((tmp_path / "4.png").read_bytes()[:40])
    captions = [c for n in range(2) for c in source.draw(rng(), n)[1]]
    assert "shade 4" not in captions
    assert [Path(name).name for name in source.skipped] == ["4.png"]
    for path in tmp_path.glob("*.png"):
        path.write_bytes(b"not a picture")
    with pytest.raises(DataError, match="in a row"):
        source.draw(rng(), 5)
