"""What is stored and served for raters: nothing in it tells arms apart."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import http.client
import io
import re
import shutil
import time
import urllib.parse

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from scipy.stats import binomtest, kruskal

from glide_eval.errors import ImageError, RunError
from glide_eval.files import RunFolder, Sample
from study_app.making import create_from_design, create_study
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.rules import GoldTable, QuestionTable, RatersTable, StudyDesign, VotesTable
from study_app.serving.padding import padded
from study_app.store import Repository, database_url
from tests.fakes import make_fake_run
from tests.study_app.window import Window


def pixels(source) -> np.ndarray:
    with Image.open(source) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def marked_run(run: RunFolder) -> RunFolder:
    """A run whose images carry metadata, as generators' images do."""
    for sample in run.samples():
        path = run.root / sample.path
        note = PngImagePlugin.PngInfo()
        note.add_text("arm", sample.arm)
        with Image.open(path) as image:
            image.save(path, pnginfo=note, dpi=(72, 72))
    list_again(run)
    return run


def list_again(run: RunFolder) -> None:
    """Write the manifest of the images that lie there now."""
    lines = [
        dataclasses.replace(
            sample, sha256=hashlib.sha256((run.root / sample.path).read_bytes()).hexdigest()
        ).to_json()
        for sample in run.samples()
    ]
    run.manifest_path.write_text("\n".join(lines))


def test_copies_keep_every_pixel_and_nothing_else(marked_run, sqlite_url):
    create_study(marked_run, sqlite_url)
    copies = sorted((marked_run.root / "study_images").iterdir())
    assert len(copies) == len(marked_run.samples())
    assert all(re.fullmatch(r"[0-9a-f]{32}\.png", copy.name) for copy in copies)
    for copy in copies:
        content = copy.read_bytes()
        chunks = set(re.findall(rb"(?:IHDR|IDAT|IEND|tEXt|zTXt|iTXt|tIME|eXIf|pHYs|iCCP)", content))
        assert chunks == {b"IHDR", b"IDAT", b"IEND"}
    digests = {hashlib.sha256(pixels(copy).tobytes()).hexdigest() for copy in copies}
    originals = {
        hashlib.sha256(pixels(marked_run.root / sample.path).tobytes()).hexdigest()
        for sample in marked_run.samples()
    }
    assert digests == originals


def test_images_of_all_arms_have_one_size(run, sqlite_url):
    for sample in run.samples():
        if sample.arm == "cfg-3":
            with Image.open(run.root / sample.path) as image:
                image.resize((64, 48)).save(run.root / sample.path)
    list_again(run)
    made = create_study(run, sqlite_url)
    assert made.resized
    assert made.image_size == (32, 32)
    sizes = {pixels(path).shape for path in (run.root / "study_images").iterdir()}
    assert sizes == {(32, 32, 3)}


@pytest.mark.parametrize("damage", ["missing", "truncated", "text"])
def test_a_damaged_image_is_named_and_no_study_is_made(run, sqlite_url, damage):
    path = run.root / run.samples()[7].path
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:100])
    else:
        path.write_text("not an image")
    with pytest.raises(ImageError, match=re.escape(path.name)):
        create_study(run, sqlite_url)
    path.write_bytes(whole)
    assert create_study(run, sqlite_url).pairs  # the same command works once it is repaired


def test_a_sample_exchanged_after_the_sweep_reaches_no_rater(run, sqlite_url):
    first, second = (run.root / sample.path for sample in run.samples()[:2])
    first.write_bytes(second.read_bytes())
    with pytest.raises(RunError, match=rf"{re.escape(first.name)} is not the image that the mani"):
        create_study(run, sqlite_url)


def test_a_manifest_that_leaves_its_folder_publishes_nothing(run, sqlite_url, tmp_path):
    outside = tmp_path / "secret.png"
    inside = run.root / run.samples()[0].path
    outside.write_bytes(inside.read_bytes())
    for path in ("../secret.png", str(outside)):
        lines = run.manifest_path.read_text().splitlines()
        lines[0] = dataclasses.replace(run.samples()[0], path=path).to_json()
        run.manifest_path.write_text("\n".join(lines))
        with pytest.raises(RunError, match=r"manifest\.jsonl:1 names the file .*inside"):
            create_study(run, sqlite_url)
        lines[0] = dataclasses.replace(
            Sample.from_json(lines[0]), path=inside.relative_to(run.root).as_posix()
        ).to_json()
        run.manifest_path.write_text("\n".join(lines))


def test_a_moved_run_folder_keeps_its_study_whole(run, sqlite_url, tmp_path):
    create_study(run, sqlite_url)
    moved = shutil.move(run.root, tmp_path / "elsewhere")
    study = Study.open(sqlite_url.set(database=f"{moved}/study.db"))
    assert study.image_path(study.turn(study.join()).current.left).is_file()
    study.close()


def test_names_are_random_not_derived_from_the_sample(run, sqlite_url, tmp_path):
    def names(url) -> set[str]:
        create_study(run, url, seed=0)
        study = Study.open(url)
        with study.database.reading() as session:
            found = Repository(session).image_names()
        study.close()
        return found

    again = sqlite_url.set(database=str(tmp_path / "again.db"))
    assert not names(sqlite_url) & names(again)


def fetch(connection: http.client.HTTPConnection, name: str) -> tuple[dict[str, str], bytes, float]:
    """Headers, bytes and seconds of an image's answer."""
    start = time.perf_counter()
    connection.request("GET", f"/image/{name}.png")
    answer = connection.getresponse()
    content = answer.read()
    return dict(answer.getheaders()), content, time.perf_counter() - start


def test_headers_bytes_and_time_of_an_image_tell_no_arm(sqlite_study, serving):
    with sqlite_study.database.reading() as session:
        repository = Repository(session)
        names = repository.names_by_image()
        images = [(names[image.id], image.arm) for image in repository.images()]
    np.random.default_rng(0).shuffle(images)
    parts = urllib.parse.urlsplit(serving(sqlite_study.database.url).address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    seconds: dict[str, list[float]] = {}
    seen_headers, seen_forms = set(), set()
    for turn in range(4):
        for name, arm in images:  # all of one length: `content-length` is among the headers
            headers, content, took = fetch(connection, name)
            headers.pop("date")
            seen_headers.add(tuple(headers.items()))
            seen_forms.add((content[:33], content[-12:]))  # size and kind; the end
            if turn:
                seconds.setdefault(arm, []).append(took)
    connection.close()
    assert len(seen_headers) == 1, "every image comes with the same headers in the same order"
    assert not {"last-modified", "etag"} & {name.lower() for name, _ in seen_headers.pop()}
    assert len(seen_forms) == 1, "one size, one kind of file"
    assert kruskal(*seconds.values()).pvalue > 1e-6, "no arm is slower to come than another"


TRAITS = ("length", "seconds", "name", "header names")


def traits(headers: dict[str, str], content: bytes, seconds: float, name: str) -> list[float]:
    """What can be told of an image without looking at its pixels, as numbers."""
    said = hashlib.sha256(repr([*headers]).encode()).digest()
    return [float(len(content)), seconds, float(int(name[:8], 16)), float(said[0])]


def guessed_rightly(seen: np.ndarray, truth: np.ndarray) -> int:
    """How many of a second half a linear classifier guesses that was fitted to the first half."""
    spread = seen.std(axis=0)
    scaled = (seen - seen.mean(axis=0)) / np.where(spread > 0, spread, 1)
    known, half = np.column_stack([scaled, np.ones(len(scaled))]), len(scaled) // 2
    weights, *_ = np.linalg.lstsq(known[:half], np.where(truth[:half], 1.0, -1.0), rcond=None)
    return int(((known[half:] @ weights > 0) == truth[half:]).sum())


@pytest.fixture
def gold_study(tmp_path):
    """Pairs of a sample and its degraded twin, which compresses better."""
    run = make_fake_run(tmp_path / "twins", prompts=40, size=32)
    url = database_url(str(run.study_path))
    design = StudyDesign(
        questions=[QuestionTable(key="photorealism")],
        votes=VotesTable(min_seconds=0),
        raters=RatersTable(pairs=3),
        gold=GoldTable(per_rater=50, count=100, twins=["blur 30", "downsample 8"]),
    )
    create_from_design(design, url, run=run, password="x")
    study = Study.open(url)
    yield study
    study.close()


def test_nothing_but_pixels_tells_a_gold_pair_s_right_answer(gold_study, serving):
    """Lengths, headers, times, names and order over 200 gold pairs: a classifier's guesses."""
    server = serving(gold_study.database.url)
    parts = urllib.parse.urlsplit(server.address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    seen: dict[str, list[float]] = {}
    unpadded: dict[str, int] = {}  # by how much the left file is longer than the right one

    async def rate() -> None:
        window = Window(server.address, "", fetch_images=False)
        await window.open()
        place = 0
        while pair := window.page.get("pair"):
            left, right = (
                np.array(traits(*fetch(connection, name), name))
                for name in (pair["left"], pair["right"])
            )
            place += 1
            seen[pair["id"]] = [*(left - right), float(place)]
            sizes = (gold_study.image_path(pair[side]).stat().st_size for side in ("left", "right"))
            unpadded[pair["id"]] = next(sizes) - next(sizes)
            await window.answer("tie", 1.0)
        await window.close()

    for _ in range(4):
        asyncio.run(rate())
    connection.close()
    votes = votes_frame(gold_study)
    gold = votes[votes["gold"] != ""]
    assert len(gold) == 200
    told = np.array([seen[assignment] for assignment in gold["assignment"]])
    assert not told[:, TRAITS.index("length")].any(), "both sides are of one length"
    right = guessed_rightly(told, (gold["gold"] == "left").to_numpy())
    assert binomtest(right, 100, 0.5).pvalue > 1e-6, f"{right} of 100 guessed"

    # The same classifier finds what padding hides.
    told[:, TRAITS.index("length")] = [unpadded[assignment] for assignment in gold["assignment"]]
    assert guessed_rightly(told, (gold["gold"] == "left").to_numpy()) >= 90


def test_a_padded_image_is_the_same_image(gold_study):
    for image in sorted(gold_study.info.image_root.iterdir())[:5]:
        content = image.read_bytes()
        longer = padded(content, len(content) + 1000)
        assert len(longer) == len(content) + 1000
        assert (pixels(io.BytesIO(longer)) == pixels(image)).all()
        assert padded(content, len(content)) == content, "there is no room"
