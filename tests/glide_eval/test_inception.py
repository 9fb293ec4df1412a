"""Inception through the two libraries, with random weights of the real form."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from cleanfid.fid import get_folder_features
from PIL import Image
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from glide_eval.errors import WeightsError
from glide_eval.extractors import inception as module
from glide_eval.extractors import load_extractor
from glide_eval.extractors.inception import (
    CLEAN_WEIGHTS,
    TORCHMETRICS_WEIGHTS,
    CleanFidInception,
    TorchmetricsInception,
)
from glide_eval.metrics.fid import Moments, fid
from glide_eval.metrics.inception_score import inception_score


def images(n: int, height: int = 40, width: int = 40, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (n, 5, 5, 3), dtype=np.uint8)
    return [np.asarray(Image.fromarray(i).resize((width, height))) for i in small]


class Layers(nn.Module):
    """Stands for the convolutions: (n, 3, 299, 299) in −1..1 -> (n, 2048, 1, 1)."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(3, 32, 23, stride=23)
        self.widen = nn.Linear(32 * 13 * 13, 2048)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.widen(torch.tanh(self.mix(x)).flatten(1))[:, :, None, None]


class TorchScriptForm(nn.Module):
    """The parts of NVIDIA's file that are used: `layers`, then `output`."""

    def __init__(self):
        super().__init__()
        self.layers = Layers()
        self.output = nn.Linear(2048, 1008)

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        features = self.layers((img - 128) / 128).flatten(1)
        if return_features:
            return features
        return torch.softmax(self.output(features), 1)


@pytest.fixture(scope="module")
def clean_weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("clean") / CLEAN_WEIGHTS
    save_scripted(TorchScriptForm(), path)
    return path


def save_scripted(network: nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
        torch.jit.script(network).save(str(path))


def stand_in(path: Path) -> CleanFidInception:
    return CleanFidInception.load(path, "cpu", published=False)


@pytest.fixture(scope="module")
def torchmetrics_weights(tmp_path_factory) -> Path:
    """torch-fidelity's own architecture with random weights, saved as it is released."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Unloaded(FeatureExtractorInceptionV3):
        def load_state_dict(self, *args, **kwargs):
            return None

    folder = tmp_path_factory.mktemp("torchmetrics")
    torch.manual_seed(0)
    torch.save({}, folder / "empty.pth")
    network = Unloaded("inception-v3-compat", ["2048"], str(folder / "empty.pth"))
    torch.save(network.state_dict(), folder / TORCHMETRICS_WEIGHTS)
    return folder / TORCHMETRICS_WEIGHTS


def test_clean_features_are_those_of_clean_fid_on_the_same_files(clean_weights, tmp_path):
    from cleanfid.inception_torchscript import InceptionV3W

    for i, image in enumerate(images(5, 60, 44)):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load`", FutureWarning)
        network = InceptionV3W(str(clean_weights.parent), download=False)
    theirs = get_folder_features(
        str(tmp_path), network, num_workers=0, device=torch.device("cpu"), verbose=False
    )
    ours = stand_in(clean_weights).extract(images(5, 60, 44))
    assert ours.pool.shape == (5, 2048)
    np.testing.assert_allclose(ours.pool, theirs, atol=1e-5)


def test_clean_logits_come_from_the_files_own_output_layer_without_bias(clean_weights):
    extractor = stand_in(clean_weights)
    assert extractor.provides == {"pool", "fid", "logits"}
    features = extractor.extract(images(3))
    torch.manual_seed(0)  # as the fixture did
    weight = TorchScriptForm().output.weight.detach().numpy()
    np.testing.assert_allclose(features.logits, features.pool @ weight.T, atol=1e-4)
    assert inception_score(features.logits).value >= 1


def test_a_torchscript_file_without_an_output_layer_gives_no_inception_score(tmp_path):
    class OnlyLayers(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = Layers()

        def forward(self, img: torch.Tensor) -> torch.Tensor:
            return self.layers(img)

    save_scripted(OnlyLayers(), tmp_path / CLEAN_WEIGHTS)
    extractor = stand_in(tmp_path / CLEAN_WEIGHTS)
    assert extractor.provides == {"pool", "fid"}
    assert extractor.extract(images(2)).logits is None


def test_our_fid_on_a_network_equals_torchmetrics_with_it_as_feature():
    class Network(nn.Module):
        num_features = 8

        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 4)
            self.pick = nn.Linear(3 * 36, 8)

        def forward(self, x):
            small = nn.functional.interpolate(x.double().float(), (6, 6), mode="area")
            return torch.tanh(self.pick(small.flatten(1) / 128 - 1))

    torch.manual_seed(1)
    network = Network()
    network.requires_grad_(False)
    real, fake = images(200, seed=1), images(150, seed=2)
    theirs = FrechetInceptionDistance(feature=network)
    for kind, batch in ((True, real), (False, fake)):
        theirs.update(torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2), real=kind)
    extractor = TorchmetricsInception(network, "0" * 64, "cpu")
    ours = fid(extractor.extract(fake).pool, Moments.of(extractor.extract(real).pool))
    assert ours.value == pytest.approx(float(theirs.compute()), rel=1e-4)
    assert extractor.extract(fake).logits.shape == (150, 4)


def test_the_real_architecture_gives_torchmetrics_features_and_logits(torchmetrics_weights):
    from torchmetrics.image.fid import NoTrainInceptionV3

    extractor = TorchmetricsInception.load(torchmetrics_weights, "cpu", published=False)
    mixed = images(2) + images(1, 52, 30)  # sizes may differ within a batch
    features = extractor.extract(mixed)
    theirs = NoTrainInceptionV3(
        "inception-v3-compat", ["logits_unbiased"], str(torchmetrics_weights)
    )
    for row, image in zip(features.logits, mixed, strict=True):
        with torch.inference_mode():
            wanted = theirs(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])
        np.testing.assert_allclose(row, wanted[0].numpy(), rtol=1e-3, atol=1e-3)
    assert features.pool.shape == (3, 2048)


def test_fingerprints_tell_weights_and_libraries_apart(clean_weights):
    prints = {
        stand_in(clean_weights).fingerprint,
        CleanFidInception(Layers(), "0" * 64, "cpu").fingerprint,
        TorchmetricsInception(Layers(), "0" * 64, "cpu").fingerprint,
        TorchmetricsInception(Layers(), "1" * 64, "cpu").fingerprint,
    }
    assert len(prints) == 4


def test_weights_are_found_where_the_user_put_them(clean_weights, monkeypatch, tmp_path):
    digest = hashlib.sha256(clean_weights.read_bytes()).hexdigest()
    monkeypatch.setattr(module, "CLEAN_SHA256", digest)
    monkeypatch.setenv("GLIDE_EVAL_WEIGHTS", str(clean_weights.parent))
    named = load_extractor("inception-clean")
    monkeypatch.delenv("GLIDE_EVAL_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cached = tmp_path / "glide-eval" / "weights" / CLEAN_WEIGHTS
    cached.parent.mkdir(parents=True)
    cached.symlink_to(clean_weights)
    assert load_extractor("inception-clean").fingerprint == named.fingerprint


def test_only_the_published_files_are_run(clean_weights, torchmetrics_weights):
    with pytest.raises(WeightsError, match=r"inception-2015-12-05\.pt is .* begins f58cb9b6"):
        CleanFidInception.load(clean_weights)
    with pytest.raises(WeightsError, match=r"another model: .* begins 6726825d"):
        TorchmetricsInception.load(torchmetrics_weights)


@pytest.mark.parametrize(
    ("name", "file"),
    [("inception-clean", CLEAN_WEIGHTS), ("inception-torchmetrics", TORCHMETRICS_WEIGHTS)],
)
def test_absent_weights_say_which_file_goes_where_and_nothing_is_downloaded(
    name, file, monkeypatch, tmp_path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GLIDE_EVAL_WEIGHTS", str(tmp_path / "named"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("a download"))
    with pytest.raises(WeightsError) as caught:
        load_extractor(name)
    message = str(caught.value)
    assert file in message
    assert str(tmp_path / "named") in message
    assert str(tmp_path / "cache" / "glide-eval" / "weights") in message
    assert "nothing is downloaded" in message
    assert "\n" not in message


def test_corrupt_and_foreign_weights_are_named(tmp_path):
    clean, metrics = tmp_path / CLEAN_WEIGHTS, tmp_path / TORCHMETRICS_WEIGHTS
    for content in (b"", b"not weights at all"):
        clean.write_bytes(content)
        metrics.write_bytes(content)
        for load, path in ((CleanFidInception.load, clean), (TorchmetricsInception.load, metrics)):
            for published in (True, False):
                with pytest.raises(WeightsError, match=rf"{path.name} is corrupt or of another"):
                    load(path, published=published)
    save_scripted(nn.Linear(2, 2), clean)
    torch.save(nn.Linear(2, 2).state_dict(), metrics)
    with pytest.raises(WeightsError, match="expected a TorchScript Inception-v3 with `layers`"):
        CleanFidInception.load(clean, published=False)
    with pytest.raises(WeightsError, match="Inception-v3 state dict"):
        TorchmetricsInception.load(metrics, published=False)
    with pytest.raises(WeightsError, match=r"gone\.pt is missing"):
        CleanFidInception.load(tmp_path / "gone.pt")


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / TORCHMETRICS_WEIGHTS
    torch.save({"weight": Trap()}, path)
    with pytest.raises(WeightsError, match="corrupt or of another model"):
        TorchmetricsInception.load(path, published=False)
    assert not (tmp_path / "ran").exists()


def test_without_torch_fidelity_the_message_says_what_to_install(tmp_path, monkeypatch):
    import torchmetrics.image.fid as library

    monkeypatch.setattr(library, "_TORCH_FIDELITY_AVAILABLE", False)
    path = tmp_path / TORCHMETRICS_WEIGHTS
    torch.save({}, path)
    with pytest.raises(WeightsError, match="pip install torch-fidelity"):
        TorchmetricsInception.load(path, published=False)


def test_a_gpu_is_used_when_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert module._device(None) == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert module._device(None) == torch.device("cpu")
