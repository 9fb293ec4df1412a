"""`glide-eval models list | info | fetch | verify`, against a local server with small files."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch

from generator import released
from generator.clip import Clip
from generator.config import ClipConfig, UNetConfig
from generator.text_unet import TextUNet
from generator.weight_files import read_records, sha256, weights_folder
from glide_eval.cli import main
from glide_eval.extractors import EXTRACTORS, NAMES, PublishedFile, published_files
from glide_eval.models import catalogue as models
from glide_eval.models import downloads
from tests.glide_eval.servers import Server

GOLDEN = Path(__file__).parents[1] / "generator" / "golden"
TINY = UNetConfig(
    image_size=16, num_channels=32, num_res_blocks=1, channel_mult=(1,), num_head_channels=16,
    attention_resolutions=(8,), text_ctx=16, xf_width=32, xf_layers=1, xf_heads=2, n_vocab=48,
)  # fmt: skip
TINY_CLIP = ClipConfig(
    image_size=16, n_embd=8, n_vocab=48, n_head_text=1, n_head_state_text=8, n_xf_blocks_text=1,
    n_head_image=1, n_head_state_image=8, n_xf_blocks_image=1,
)  # fmt: skip


@pytest.fixture
def published(server: Server, tmp_path, monkeypatch) -> dict[str, bytes]:
    """The released files at a size for tests, on a server of this machine."""
    monkeypatch.setenv("GLIDE_EVAL_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(downloads, "BACKOFF", 0)
    files, small = {}, []
    for known in released.CHECKPOINTS:
        if isinstance(known.config, UNetConfig):
            flags = {"super_res": known.config.super_res, "inpaint": known.config.inpaint}
            config = replace(TINY, **flags)
            state = TextUNet(config).state_dict()
        else:
            config, clip = TINY_CLIP, Clip(TINY_CLIP)
            encoder = clip.image_encoder if "image" in known.name else clip.text_encoder
            state = encoder.state_dict()
        torch.save(state, tmp_path / known.file)
        files[known.file] = (tmp_path / known.file).read_bytes()
        small.append(replace(known, url=f"{server.origin}/{known.file}", config=config))
        monkeypatch.setitem(released.BY_FILE, known.file, small[-1])
    reduced = GOLDEN / "gpt2_vocabulary.json"
    files["encoder.json"] = reduced.read_bytes()
    vocabulary = replace(
        released.VOCABULARY, url=f"{server.origin}/encoder.json", sha256=sha256(reduced)
    )
    monkeypatch.setattr(models, "CHECKPOINTS", tuple(small))
    monkeypatch.setattr(models, "VOCABULARY", vocabulary)
    server.files = files
    return files


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(["models", *arguments])
    return int(exit_.value.code or 0)


def folder() -> Path:
    return released.released_folder()


def test_fetch_brings_every_file_and_a_second_time_costs_no_request(published, server, capsys):
    assert run("fetch", "glide") == 0
    assert {p.name: p.read_bytes() for p in folder().iterdir() if p.name != "weights.json"} == (
        published
    )
    assert set(read_records(folder())) == set(published)
    requests = len(server.ranges)
    assert run("fetch", "glide") == 0
    assert len(server.ranges) == requests == 7
    assert capsys.readouterr().out.count("is there, as downloaded") == 7


def test_list_and_info_say_how_much_is_there(published, capsys):
    assert run("list") == 0
    out = capsys.readouterr().out
    assert "bundled," in out
    assert "256 px no -" in " ".join(out.split())
    assert run("fetch", "glide", "--only", "base", "--only", "vocabulary") == 0
    capsys.readouterr()
    assert run("list") == 0
    assert "2 of 7 files" in capsys.readouterr().out
    assert run("list", "--json") == 0
    listed = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    digests = {file["name"]: file["sha256"] for file in listed["glide"]["files"]}
    assert digests["base"] == sha256(folder() / "base.pt")
    assert sum(file["size"] is not None for file in listed["glide"]["files"]) == 2
    assert listed["tabletop"]["bundled"]
    assert run("info", "glide") == 0
    out = capsys.readouterr().out
    assert read_records(folder())["base.pt"].sha256[:12] in out
    assert "385 M" in out
    assert "Next: glide-eval models fetch glide" in out


def test_verify_passes_what_was_fetched_and_the_bundled_model(published, capsys):
    assert run("fetch", "glide") == 0
    capsys.readouterr()
    assert run("verify") == 0
    out = capsys.readouterr().out
    assert f"glide/base: as recorded, sha256 {sha256(folder() / 'base.pt')}" in out
    assert "tabletop/base: whole" in out


def test_verify_names_each_file_that_changed_and_fetch_brings_it_back(published, capsys):
    assert run("fetch", "glide") == 0
    changed = bytearray(published["base.pt"])
    changed[len(changed) // 2] ^= 1
    (folder() / "base.pt").write_bytes(changed)
    (folder() / "upsample.pt").unlink()
    assert run("verify", "glide") == 1
    err = capsys.readouterr().err
    assert "base.pt are not what was downloaded" in err
    assert "upsample.pt is missing" in err
    assert "2 of the files failed" in err
    assert run("fetch", "glide") == 0
    assert run("verify", "glide") == 0


def test_verify_takes_what_was_never_fetched_for_no_fault(published, capsys):
    assert run("verify", "glide") == 1
    assert "not on disk. Fetch it: glide-eval models fetch glide" in capsys.readouterr().err
    assert run("fetch", "glide", "--only", "base") == 0
    assert run("verify", "glide") == 0


def test_files_put_there_by_hand_are_recorded_and_checked(published, server, capsys):
    folder().mkdir(parents=True)
    (folder() / "base.pt").write_bytes(published["base.pt"])
    shutil.copy(folder() / "base.pt", folder() / "upsample.pt")
    (folder() / "encoder.json").write_bytes(b"{}")
    assert run("fetch", "glide") == 0
    assert "/base.pt" not in server.paths
    assert "/encoder.json" in server.paths  # its sha256 is published, and this was not it
    assert run("verify", "glide") == 1
    assert "upsample.pt are of another model" in capsys.readouterr().err


def test_a_cut_download_is_kept_and_said_to_be_begun(published, server, capsys):
    server.cut = [100, *[0] * downloads.ATTEMPTS]
    assert run("fetch", "glide", "--only", "base") == 1
    assert "100 bytes are kept" in capsys.readouterr().err
    assert run("info", "glide") == 0
    assert "100 bytes so far" in capsys.readouterr().out
    assert run("list") == 0
    assert "fetch not finished" in capsys.readouterr().out
    server.cut = []
    assert run("fetch", "glide", "--only", "base") == 0
    assert (folder() / "base.pt").read_bytes() == published["base.pt"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("info", "dalle"), "Unknown model 'dalle': expected one of tabletop, glide, inception"),
        (("fetch", "tabletop"), "ships in the package"),
        (("fetch", "glide", "--only", "decoder"), "no file 'decoder'"),
    ],
)
def test_wrong_names_are_wrong_usage(published, capsys, arguments, said):
    assert run(*arguments) == 2
    assert said in capsys.readouterr().err


@pytest.fixture
def metric_networks(server: Server, tmp_path, monkeypatch) -> dict[str, bytes]:
    """The networks of metrics as short files on a server of this machine."""
    monkeypatch.setenv("GLIDE_EVAL_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(downloads, "BACKOFF", 0)
    files = {
        file.file: file.name.encode() * 50
        for file in published_files()
        if file.model in ("inception", "dinov2-vit-l-14")
    }

    def small(file: PublishedFile) -> PublishedFile:
        digest = hashlib.sha256(files[file.file]).hexdigest()
        return replace(file, url=f"{server.origin}/{file.file}", sha256=digest, size=None)

    for name, record in EXTRACTORS.items():
        if record.file and record.file.file in files:
            monkeypatch.setitem(EXTRACTORS, name, replace(record, file=small(record.file)))
    server.files = files
    return files


def test_networks_of_metrics_are_fetched_to_where_extractors_look(metric_networks, capsys):
    assert run("fetch", "inception", "--only", "state-dict") == 0
    assert run("fetch", "dinov2-vit-l-14") == 0
    assert run("verify") == 0
    found = EXTRACTORS["dinov2-vit-l-14"].published.find()
    assert found.read_bytes() == metric_networks[found.name]
    assert run("list") == 0
    out = capsys.readouterr().out
    assert "1 of 2 files" in out
    assert set(known_names(out)) >= {file.model for file in published_files()}


def test_a_network_that_is_not_the_published_one_is_deleted_and_named(
    metric_networks, server, capsys
):
    file = EXTRACTORS["dinov2-vit-l-14"].published.file
    server.files = {**metric_networks, file: b"another"}
    assert run("fetch", "dinov2-vit-l-14") == 1
    assert "is not the file it should be" in capsys.readouterr().err
    assert not (weights_folder() / file).exists()
    weights_folder().mkdir(parents=True, exist_ok=True)
    (weights_folder() / file).write_bytes(b"put there by hand")
    assert run("verify", "dinov2-vit-l-14") == 1
    assert "is not the published file: expected sha256" in capsys.readouterr().err


def test_info_says_how_much_a_network_is_to_fetch_and_which_extractors_use_it(capsys, tmp_path):
    assert run("info", "dinov2-vit-l-14") == 0
    assert "no (1.22 GB to fetch)" in capsys.readouterr().out
    assert run("info", "inception") == 0
    out = " ".join(capsys.readouterr().out.replace("-\n", "-").split())
    for name in (name for name in NAMES if name.startswith("inception-")):
        assert name in out


def known_names(listing: str) -> list[str]:
    return [line.split()[0] for line in listing.splitlines() if line]


def test_every_published_address_and_digest_is_well_formed():
    for file in published_files():
        assert file.url.startswith("https://")
        assert file.url.endswith("/" + file.file)
        assert len(bytes.fromhex(file.sha256)) == 32
    for record in EXTRACTORS.values():  # open_clip knows the same files
        if record.kind == "clip":
            known = open_clip.get_pretrained_cfg(record.architecture, "openai")
            assert known["url"] == record.published.url


def test_listing_models_loads_no_torch():
    code = (
        "import sys, glide_eval.models.catalogue as m; m.known_models(); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_no_released_file_is_never_recorded_and_force_forgets_what_was(
    published, server, capsys
):
    genuine = published["base.pt"]
    published["base.pt"] = published["upsample.pt"]  # a network, but another one
    assert run("fetch", "glide", "--only", "base") == 1
    assert "of another model" in capsys.readouterr().err
    assert not read_records(folder())
    (folder() / "base.pt").write_bytes(published["upsample.pt"])
    assert run("fetch", "glide", "--only", "base") == 0  # recorded as somebody put it there
    (folder() / "base.pt").unlink()
    published["base.pt"] = genuine
    assert run("fetch", "glide", "--only", "base") == 1
    assert "models fetch --force" in capsys.readouterr().err
    assert run("fetch", "glide", "--only", "base", "--force") == 0
    assert run("verify", "glide") == 0
