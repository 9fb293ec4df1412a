"""Prompts that other programs left in their images, in real files as Pillow writes them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from glide_eval.errors import ImageError
from glide_eval.files import embedded_caption
from glide_eval.sweep import load_sweep, run_sweep
from tests.glide_eval.sweeps import glide_eval, write_sweep

RECORD = "a red cup,\non a table\nNegative prompt: blurry\nSteps: 20, Sampler: Euler, CFG scale: 7"
CUP = "a red cup, on a table"


def picture(number: int = 0) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def png(path, **texts: str):
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    picture().save(path, pnginfo=info)
    return path


def with_exif(path, value, tag=ExifTags.Base.UserComment):
    exif = picture().getexif()
    if tag == ExifTags.Base.UserComment:
        exif.get_ifd(ExifTags.IFD.Exif)[tag] = value
    else:
        exif[tag] = value
    picture().save(path, exif=exif)
    return path


def sampler(**more):
    return {
        "class_type": "KSampler",
        "inputs": {"positive": ["6", 0], "negative": ["7", 0], **more},
    }


def encoder(text):
    return {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["4", 1]}}


GRAPH = {"3": sampler(), "6": encoder("a red cup"), "7": encoder("blurry")}
LINKED = GRAPH | {"6": encoder(["9", 0]), "9": {"class_type": "String", "inputs": {"value": CUP}}}
PASSED_ON = {
    "3": sampler(),
    "6": {"class_type": "ControlNet", "inputs": {"positive": ["8", 0], "negative": ["7", 0]}},
    "8": {"class_type": "FluxGuidance", "inputs": {"conditioning": ["5", 0], "guidance": 3.5}},
    "5": encoder("a red cup"),
    "7": encoder("blurry"),
}
TWO = GRAPH | {"8": sampler(positive=["9", 0]), "9": encoder("a blue cup")}
LOOP = {"3": sampler(), "6": {"class_type": "Reroute", "inputs": {"in": ["6", 0]}}}


@pytest.mark.parametrize(
    ("graph", "caption"),
    [(GRAPH, "a red cup"), (LINKED, CUP), (PASSED_ON, "a red cup"), (TWO, ""), (LOOP, ""), (5, "")],
    ids=["plain", "linked", "passed-on", "two", "loop", "none"],
)
def test_a_graph_tells_what_reaches_its_sampler(tmp_path, graph, caption):
    assert embedded_caption(png(tmp_path / "a.png", prompt=json.dumps(graph))) == caption


def test_a_record_ends_where_its_settings_begin(tmp_path):
    assert embedded_caption(png(tmp_path / "a.png", parameters=RECORD)) == CUP
    assert embedded_caption(png(tmp_path / "b.png", parameters="a note on the weather")) == ""


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + RECORD.encode("utf-16-be"),
        b"UNICODE\0" + RECORD.encode("utf-16-le"),
        b"ASCII\0\0\0" + RECORD.encode(),
    ],
    ids=["big", "little", "ascii"],
)
def test_exif_tells_a_record_in_any_of_its_encodings(tmp_path, comment, suffix):
    assert embedded_caption(with_exif(tmp_path / f"a{suffix}", comment)) == CUP


def xmp_of(text: str, before: str = "") -> bytes:
    return f"""{before}<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
    xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
    xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt><rdf:li
    xml:lang="x-default">{text}</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF>
    </x:xmpmeta>""".encode()


def test_descriptions_of_exif_and_xmp_are_prompts(tmp_path):
    described = with_exif(tmp_path / "a.jpg", "a red cup", ExifTags.Base.ImageDescription)
    assert embedded_caption(described) == "a red cup"
    picture().save(tmp_path / "b.jpg", xmp=xmp_of("a blue\n cup"))
    assert embedded_caption(tmp_path / "b.jpg") == "a blue cup"


def test_hostile_and_damaged_metadata_hold_no_prompt(tmp_path):
    laughs = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;">]>'
    picture().save(tmp_path / "a.jpg", xmp=xmp_of("&c;", laughs))
    picture().save(tmp_path / "b.jpg", xmp=b"<x:xmpmeta")
    deep = png(tmp_path / "c.png", prompt="[" * 100_000)
    (tmp_path / "d.png").write_bytes(deep.read_bytes()[:60])
    for name in ("a.jpg", "b.jpg", "c.png", "d.png"):
        assert embedded_caption(tmp_path / name) == "", name
    with pytest.raises(ImageError, match="missing"):
        embedded_caption(tmp_path / "e.png")


IMPORTED = """[[arms]]
strategy = "imported"
name = "mine"
folder = "mine"
captions = "embedded"
"""


def test_a_sweep_imports_images_by_the_prompts_they_hold(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    for number, text in enumerate(["a cup", "a dog"]):
        graph = {"3": sampler(), "6": encoder(text), "7": encoder("blurry")}
        png(tmp_path / "mine" / f"{number}.png", prompt=json.dumps(graph))
    sweep = write_sweep(tmp_path, prompts='captions = ["a dog", "a cup"]', arms=IMPORTED)
    run = run_sweep(load_sweep(sweep), tmp_path / "run", say=str).run
    assert [sample.caption for sample in run.samples()] == ["a dog", "a cup"]
    asked = ("--fake", tmp_path / "mine", "--captions", "embedded")
    status, printed, _ = glide_eval(capsys, "metrics", *asked, "--metrics", "caption_accuracy",
                                    "--extractor", "tabletop", "--json", "-")  # fmt: skip
    assert status == 0
    assert "no captions" not in printed
    for path in (tmp_path / "mine").iterdir():
        picture(3).save(path)
    with pytest.raises(ImageError, match=r"2 images and no prompt in any.*ComfyUI"):
        run_sweep(load_sweep(sweep), tmp_path / "again", say=str)
