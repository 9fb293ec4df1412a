"""Every kind of file that is read, damaged at random: read, or refused with a sentence.

Longer by hand: `MUTATIONS=100000 python -m pytest -n 0 tests/glide_eval/test_mutated_inputs.py`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from analysis import read_votes
from analysis.errors import AnalysisError
from generator.bpe import Gpt2Tokenizer
from generator.checkpoints import load_unet, read_notes, read_released, save
from generator.errors import GeneratorError
from generator.text_unet import TextUNet
from generator.training.sources import coco, folder
from generator.weight_files import Record, read_records, write_record
from glide_eval.cli.report_inputs import Source, report_inputs
from glide_eval.drawing import load_scene
from glide_eval.errors import GlideEvalError
from glide_eval.extractors import FakeExtractor, load_features, save_features
from glide_eval.features import samples_by_arm
from glide_eval.files import RunFolder, read_rgb, read_table, unpacked
from glide_eval.measure import known_facts, measure, read_differences, read_rows
from glide_eval.references import Reference, read_coco, statistics_reference
from glide_eval.references.build import build_reference
from glide_eval.sweep import load_prompts, load_sweep
from glide_eval.sweep.imported_arms import match_folder
from glide_eval.sweep.provenance import read_provenance
from glide_eval.training import load_training
from study_app.errors import StudyError
from study_app.rules import load_study_file
from tests.fakes import make_fake_run
from tests.generator.test_hostile_weights import SMALL
from tests.glide_eval.sweeps import sweep_text
from tests.mutations import mutated

TOTAL = int(os.environ.get("MUTATIONS", "2000"))
ROOT = Path(__file__).parents[2]
TOLD = (GlideEvalError, GeneratorError, AnalysisError, StudyError)
SECONDS, MEMORY = 10, 1 << 30
VOTES = (
    "question,prompt_id,replica,arm_left,arm_right,answer,rater,rater_kind,seconds,assignment\n"
    + "".join(f"q,p{n},0,a,b,left,r{n % 3},person,{n}.5,x{n}\n" for n in range(20))
)
IMPORTED = '[[arms]]\nstrategy = "imported"\nname = "mine"\nfolder = "."\n'


def _sweep(path: Path) -> None:
    load_prompts(load_sweep(path))


def _captions(path: Path) -> None:
    sweep = path.with_name("sweep.toml")
    sweep.write_text(sweep_text(prompts='captions = ["a cat"]', arms=IMPORTED))
    Image.new("RGB", (8, 8)).save(path.with_name("a.png"))
    loaded = load_sweep(sweep)
    match_folder(loaded, loaded.config.expand()[0], load_prompts(loaded))
    with contextlib.suppress(GeneratorError):
        folder(path.parent)


def _prompts(path: Path) -> None:
    sweep = path.with_name("sweep.toml")
    sweep.write_text(sweep_text(prompts=f'file = "{path.name}"'))
    load_prompts(load_sweep(sweep))


def _manifest(path: Path) -> None:
    samples_by_arm(RunFolder(path.parent))


def _run_json(path: Path) -> None:
    run = RunFolder(path.parent)
    read_provenance(run)
    run.arms()


def _tables(path: Path) -> None:
    run = RunFolder(path.parent)
    read_rows(run)
    read_differences(run)
    known_facts(run)
    report_inputs([Source(run)], None, "")


def _coco(path: Path) -> None:
    read_coco(path).find_images(path.parent)
    coco(path, path.parent)


def _votes(path: Path) -> None:
    report_inputs([Source(votes=path)], None, "")
    read_votes(path)


def _weights(path: Path) -> None:
    read_notes(path)
    load_unet(path)


def image_bytes(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def written(write: Callable[[Path], object], path: Path) -> bytes:
    write(path)
    return path.read_bytes()


def _kinds(made: Path) -> Iterator[tuple[str, bytes, Callable[[Path], object]]]:
    """Each kind of file: its name, a whole one, and what reads it."""
    yield "sweep.toml", (ROOT / "examples/guidance.toml").read_bytes(), _sweep
    yield "study.toml", (ROOT / "examples/study.toml").read_bytes(), load_study_file
    train = next((ROOT / "examples/train").glob("*.toml"))
    yield "train.toml", train.read_bytes(), load_training
    scene = b'[[steps]]\ncaption = "a red cube"\n[[steps]]\ncaption = "b"\nbox = [0, 0, 0.5, 1]\n'
    yield "scene.toml", scene, load_scene
    yield "captions.csv", b'file,caption\na.png,a cat\nb.png,"a dog, big"\n', _captions
    lines = b'{"file": "a.png", "caption": "a cat"}\n{"file": "b.png", "caption": "b"}\n'
    yield "captions.jsonl", lines, _captions
    yield "table.jsonl", lines, lambda path: read_table(path, "file")
    yield "prompts.txt", b"a red cube\na blue ball\n", _prompts
    yield "prompts.csv", b"id,caption\np0,a red cube\np1,a blue ball\n", _prompts
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM", "GIF"):
        yield f"a.{kind.lower()}", image_bytes(kind), read_rgb
    run = make_fake_run(made / "run", prompts=2, size=8)
    measure(run, [FakeExtractor()], ["clip_score", "inception_score"])
    yield "run/manifest.jsonl", run.manifest_path.read_bytes(), _manifest
    yield "run/run.json", run.provenance_path.read_bytes(), _run_json
    for name in ("metrics.csv", "scores.csv", "differences.csv", "extractors.json"):
        yield f"run/{name}", (run.root / name).read_bytes(), _tables
    extractor = FakeExtractor()
    images = [np.full((16, 16, 3), value, np.uint8) for value in range(30)]
    features = extractor.extract(images)
    saved = written(lambda path: save_features(path, "k", features), made / "f.npz")
    yield "features.npz", saved, lambda path: load_features(path, "k")
    whole = build_reference(extractor, images, "grey")
    yield "reference.npz", written(whole.save, made / "r.npz"), Reference.read
    np.savez(made / "s.npz", mu=np.zeros(24), sigma=np.eye(24))
    statistics = (made / "s.npz").read_bytes()
    yield "statistics.npz", statistics, lambda path: statistics_reference(path, extractor)
    listing = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [{"id": n, "image_id": 1 + n % 2, "caption": "a cat"} for n in range(4)],
    }
    yield "coco.json", json.dumps(listing).encode(), _coco
    yield "votes.csv", VOTES.encode(), _votes
    weights = written(lambda path: save(path, TextUNet(SMALL), SMALL, {}), made / "a.safetensors")
    yield "a.safetensors", weights, _weights
    released = written(lambda path: torch.save({"x": torch.ones(9)}, path), made / "a.pt")
    yield "a.pt", released, read_released
    write_record(made, "a.pt", Record("0" * 64, 5, "http://127.0.0.1/"))
    records = (made / "weights.json").read_bytes()
    yield "weights.json", records, lambda path: read_records(path.parent)
    vocabulary = (ROOT / "tests/generator/golden/gpt2_vocabulary.json").read_bytes()
    yield "encoder.json", vocabulary, Gpt2Tokenizer
    np.save(made / "a.npy", np.stack(images[:2]))
    yield "a.npy", (made / "a.npy").read_bytes(), unpacked
    with zipfile.ZipFile(made / "a.zip", "w") as archive:
        archive.writestr("a.png", image_bytes("PNG"))
    yield "a.zip", (made / "a.zip").read_bytes(), unpacked


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Fail a block that does not end, or that takes much more memory than the process had."""

    def hang(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outside = signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, outside)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MEMORY, f"{grown:,} bytes more"


def test_damaged_files_of_every_kind_are_read_or_refused_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kinds = list(_kinds(tmp_path / "made"))
    faults, refused = [], 0
    for number in range(TOTAL):
        name, content, read = kinds[number % len(kinds)]
        path = tmp_path / "made" / name if name.startswith("run/") else tmp_path / name
        path.write_bytes(mutated(content, number))
        try:
            with warnings.catch_warnings(action="ignore"), bounded():
                read(path)
        except TOLD as error:
            refused += 1
            if "\n" in str(error).strip():
                faults.append((number, name, "several lines", str(error)[:200]))
        except Exception as error:  # what this test is about
            faults.append((number, name, type(error).__name__, str(error)[:200]))
        if name.startswith("run/"):
            path.write_bytes(content)
    assert not faults, f"{len(faults)} of {TOTAL}: {faults[:20]}"
    assert refused > TOTAL / 4  # the damage was damage
