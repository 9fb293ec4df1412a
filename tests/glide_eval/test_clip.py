"""CLIP through open_clip, with random weights in OpenAI's and open_clip's layouts."""

from __future__ import annotations

import hashlib
import warnings

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from generator.released import CHECKPOINTS
from glide_eval.errors import UsageError, WeightsError
from glide_eval.extractors import EXTRACTORS, load_extractor, load_features, save_features
from glide_eval.extractors.clip import OpenClip
from glide_eval.extractors.protocol import ClipFeatures, Features
from glide_eval.files import read_rgb
from glide_eval.metrics import METRICS, Measured, clip_scores, evaluate
from tests.glide_eval.stand_ins import CLIP, add_tiny_clip, clip_state, images, save_openai_clip

CAPTIONS = ["a red cube", "a blue sphere to the left of a cone", "A Red CUBE "]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    add_tiny_clip(folder)
    save_file(clip_state(), folder / "tiny.safetensors")
    torch.save(clip_state(), folder / "tiny.pt")
    save_openai_clip(folder / "archive.pt")
    for i, image in enumerate(images(3, 60, 44)):
        Image.fromarray(image).save(folder / f"{i}.{'jpg' if i % 2 else 'png'}")
    return folder


@pytest.fixture(scope="module")
def clip(folder) -> OpenClip:
    return OpenClip.from_file(CLIP, folder / "tiny.safetensors", "cpu")


def pictures(folder) -> list[np.ndarray]:
    return [read_rgb(folder / name) for name in ("0.png", "1.jpg", "2.png")]


def of_open_clip(model, prepare, folder) -> tuple[np.ndarray, np.ndarray]:
    """open_clip's own path from files and captions to unit embeddings."""
    paths = [folder / name for name in ("0.png", "1.jpg", "2.png")]
    tokens = open_clip.get_tokenizer(CLIP)(CAPTIONS)
    with torch.inference_mode():
        batch = torch.stack([prepare(Image.open(path)) for path in paths])
        found = model.encode_image(batch), model.encode_text(tokens)
    return tuple((f / f.norm(dim=-1, keepdim=True)).numpy() for f in found)


@pytest.mark.parametrize("file", ["tiny.safetensors", "tiny.pt"])
def test_embeddings_are_those_of_open_clip_on_the_same_files_and_captions(folder, file):
    model, _, prepare = open_clip.create_model_and_transforms(
        CLIP, pretrained=str(folder / file), weights_only=True
    )
    theirs = of_open_clip(model.eval(), prepare, folder)
    features = OpenClip.from_file(CLIP, folder / file, "cpu").extract(pictures(folder), CAPTIONS)
    np.testing.assert_allclose(features.pool, theirs[0], atol=1e-6)
    np.testing.assert_allclose(features.clip.images, theirs[0], atol=1e-6)
    np.testing.assert_allclose(features.clip.texts, theirs[1], atol=1e-6)
    np.testing.assert_array_equal(features.clip.texts[0], features.clip.texts[2])
    assert features.clip.logit_scale == pytest.approx(1 / 0.07)
    np.testing.assert_allclose(np.linalg.norm(features.pool, axis=1), 1, atol=1e-6)


def test_openais_archive_gives_what_open_clips_own_loader_makes_of_it(folder):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load`", FutureWarning)
        model = open_clip.load_openai_model(str(folder / "archive.pt"), "fp32", "cpu")
    prepare = open_clip.image_transform(32, is_train=False)
    theirs = of_open_clip(model.eval(), prepare, folder)
    ours = OpenClip.from_file(CLIP, folder / "archive.pt", "cpu", published=False)
    features = ours.extract(pictures(folder), CAPTIONS)
    np.testing.assert_allclose(features.clip.images, theirs[0], atol=1e-6)
    np.testing.assert_allclose(features.clip.texts, theirs[1], atol=1e-6)


def test_only_archives_that_openai_published_are_opened(folder, monkeypatch):
    path = folder / "archive.pt"
    with pytest.raises(WeightsError, match="An archive is code, so no other is run"):
        OpenClip.from_file(CLIP, path, "cpu")
    with pytest.raises(WeightsError, match=r"ViT-B-16-quickgelu \(sha256 begins 5806e77c\)"):
        OpenClip.load("clip-vit-b-16", path, "cpu")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    address = f"https://openaipublic.azureedge.net/clip/models/{digest}/tiny.pt"
    known = open_clip.pretrained._PRETRAINED
    monkeypatch.setitem(known, CLIP, {"openai": {"url": address, "quick_gelu": True}})
    assert OpenClip.from_file(CLIP, path, "cpu").facts["weights"] == digest


def test_openais_weights_need_the_activation_they_were_trained_with(folder, tmp_path):
    add_tiny_clip(tmp_path, quick_gelu=False)
    try:
        with pytest.raises(WeightsError, match=f"QuickGELU: .* Use {CLIP}-quickgelu"):
            OpenClip.from_file(CLIP, folder / "archive.pt", "cpu", published=False)
    finally:
        add_tiny_clip(folder)


def test_clip_scores_of_an_arm_follow_glides_definition(clip, folder):
    features = clip.extract(pictures(folder), CAPTIONS)
    arm = Measured(features, ["p1", "p2", "p3"], None)
    value, scores = evaluate(METRICS["clip_score"], arm)
    cosines = np.sum(features.clip.images * features.clip.texts, axis=1)
    np.testing.assert_allclose(scores, cosines / 0.07, atol=1e-4)
    assert value.value == pytest.approx(scores.mean())
    assert clip.provides == {"clip", "cmmd"}
    assert clip.extract(pictures(folder)).clip is None


def test_captions_longer_than_the_context_are_named_in_the_values_note(clip, folder):
    exact, long = " ".join(["cube"] * 75), " ".join(["cube"] * 76)  # with start and end: 77, 78
    features = clip.extract(pictures(folder), ["a cube", exact, long])
    np.testing.assert_array_equal(features.clip.cut, [False, False, True])
    value, _ = evaluate(METRICS["clip_score"], Measured(features, ["p1", "p2", "p3"], None))
    assert "reads only the beginning of captions as long as those of p3" in value.note
    short, _ = evaluate(
        METRICS["clip_score"],
        Measured(clip.extract(pictures(folder), CAPTIONS), ["p1", "p2", "p3"], None),
    )
    assert "beginning" not in short.note


def test_which_captions_were_cut_survives_the_cache(tmp_path):
    one = np.ones((5, 1))
    features = Features(one, clip=ClipFeatures(one, one, 7.0, np.array([1, 1, 1, 0, 1], bool)))
    save_features(tmp_path / "f.npz", "key", features)
    loaded = load_features(tmp_path / "f.npz", "key")
    assert loaded.clip.cut_note(list("abcde")).endswith("as long as those of a, b, c and 1 more")
    both = Features.concatenate([loaded, loaded])
    assert both.clip.cut.sum() == 8
    assert ClipFeatures(one, one, 7.0).cut_note(list("abcde")) == ""


def test_a_file_by_path_or_in_the_folder_for_weights_makes_an_extractor(folder, monkeypatch):
    by_path = load_extractor(f"clip:{CLIP}:{folder / 'tiny.safetensors'}")
    monkeypatch.setenv("GLIDE_EVAL_WEIGHTS", str(folder))
    by_name = load_extractor(f"clip:{CLIP}:tiny.safetensors")
    digest = hashlib.sha256((folder / "tiny.safetensors").read_bytes()).hexdigest()
    assert by_path.name == by_name.name == f"clip-tiny-{digest[:6]}"
    assert by_path.fingerprint == by_name.fingerprint
    assert by_path.facts["weights"] == digest


def test_fingerprints_follow_weights_and_preparation(clip, folder, tmp_path, monkeypatch):
    other = clip_state() | {"logit_scale": torch.tensor(1.0)}
    save_file(other, tmp_path / "other.safetensors")
    weights = OpenClip.from_file(CLIP, tmp_path / "other.safetensors", "cpu")
    rule = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "resize_mode": "squash"}
    known = open_clip.pretrained._PRETRAINED
    monkeypatch.setitem(known, CLIP, {"a": rule, "b": dict(rule)})  # all published ones agree
    prepared = OpenClip.from_file(CLIP, folder / "tiny.safetensors", "cpu")
    assert len({e.fingerprint for e in (clip, weights, prepared)}) == 3
    assert (clip.facts["crop"], prepared.facts["crop"]) == ("central square", "none")
    image = images(1, 64, 32)[0]
    assert np.abs(prepared.prepare(image) - clip.prepare(image)).max() > 0.1
    monkeypatch.setitem(known, CLIP, {"a": rule, "b": {}})
    default = OpenClip.from_file(CLIP, folder / "tiny.safetensors", "cpu")
    assert default.fingerprint == clip.fingerprint


def test_weights_of_another_network_are_named_with_what_was_found(folder, tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_file({"noise": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match=f"expected weights of open_clip's {CLIP}, found"):
        OpenClip.from_file(CLIP, path, "cpu")
    path.write_bytes((folder / "tiny.safetensors").read_bytes()[:100])
    with pytest.raises(WeightsError, match="corrupt or of another model"):
        OpenClip.from_file(CLIP, path, "cpu")
    with pytest.raises(WeightsError, match="is missing"):
        OpenClip.from_file(CLIP, tmp_path / "gone.pt", "cpu")


def test_a_pickle_that_would_run_code_is_refused(tmp_path, folder):
    class Trap:
        def __reduce__(self):
            return ((tmp_path / "ran").touch, ())

    torch.save({"weight": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(WeightsError, match="corrupt or of another model"):
        OpenClip.from_file(CLIP, tmp_path / "trap.pt", "cpu")
    assert not (tmp_path / "ran").exists()


def test_the_clip_that_guides_cannot_be_made_to_score(tmp_path, folder):
    """Its files hold one encoder each, which open_clip's networks have no place for."""
    guiding = [file for file in CHECKPOINTS if "clip" in file.name]
    assert len(guiding) == 2
    for file in guiding:
        torch.save({"blocks.0.f_mlp.w": torch.zeros(2)}, tmp_path / file.file)
        with pytest.raises(WeightsError, match="corrupt or of another model"):
            OpenClip.from_file(CLIP, tmp_path / file.file, "cpu")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("clip:ViT-Q-99:tiny.safetensors", "no architecture 'ViT-Q-99'"),
        ("clip:ViT-B-16-SigLIP:tiny.safetensors", "tokenizer from the Hugging Face hub"),
        ("clip:ViT-B-16", "No extractor is named 'clip:ViT-B-16'; .* clip:ARCHITECTURE:FILE"),
    ],
)
def test_architectures_that_cannot_be_run_here_are_wrong_usage(name, said, folder, monkeypatch):
    monkeypatch.setenv("GLIDE_EVAL_WEIGHTS", str(folder))
    with pytest.raises(UsageError, match=said):
        load_extractor(name)


@pytest.mark.parametrize("name", ["clip-vit-b-16", "clip-vit-l-14-336"])
def test_absent_weights_say_how_to_fetch_them_and_nothing_is_downloaded(
    name, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GLIDE_EVAL_WEIGHTS", raising=False)
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("a download"))
    with pytest.raises(WeightsError) as caught:
        load_extractor(name)
    message = str(caught.value)
    assert f"glide-eval models fetch {name}" in message
    assert EXTRACTORS[name].published.file in message
    assert "\n" not in message


def test_scores_are_clip_scores_whatever_the_batch(clip, folder):
    whole = clip.extract(pictures(folder), CAPTIONS).clip
    alone = [clip.extract([p], [c]).clip for p, c in zip(pictures(folder), CAPTIONS, strict=True)]
    one_by_one = [clip_scores(c.images, c.texts, c.logit_scale)[0] for c in alone]
    np.testing.assert_allclose(
        clip_scores(whole.images, whole.texts, whole.logit_scale), one_by_one, atol=1e-4
    )
