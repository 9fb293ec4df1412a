"""Inception through the two libraries, with random weights of the real form."""

from __future__ import annotations

import hashlib
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from cleanfid.fid import get_folder_features
from PIL import Image
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from glide_eval.errors import WeightsError
from glide_eval.extractors import NAMES, load_extractor
from glide_eval.extractors import inception as module
from glide_eval.extractors.catalogue import INCEPTION_STATE_DICT, INCEPTION_TORCHSCRIPT
from glide_eval.extractors.inception import (
    CleanFidInception,
    TorchFidelityInception,
    TorchmetricsInception,
)
from glide_eval.extractors.network import choose_device
from glide_eval.files import read_rgb
from glide_eval.metrics import Moments, fid, inception_score
from tests.glide_eval.stand_ins import (
    Layers,
    TorchScriptForm,
    images,
    save_inception_state_dict,
    save_scripted,
    save_torchscript_inception,
)


@pytest.fixture(scope="module")
def clean_weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clean") / INCEPTION_TORCHSCRIPT.file
    return save_torchscript_inception(path)


@pytest.fixture(scope="module")
def state_dict(tmp_path_factory) -> Path:
    return save_inception_state_dict(tmp_path_factory.mktemp("state") / INCEPTION_STATE_DICT.file)


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Real files: PNG and JPEG of several sizes, larger and smaller than the network's input."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    shapes = [(60, 44), (60, 44), (310, 340), (299, 299)]
    for i, (height, width) in enumerate(shapes):
        image = Image.fromarray(images(1, height, width, seed=i)[0])
        image.save(folder / f"{i}.{'jpg' if i % 2 else 'png'}")
    return folder


def read(folder: Path) -> list[np.ndarray]:
    return [read_rgb(path) for path in sorted(folder.iterdir())]


def stand_in(path: Path, mode: str = "clean") -> CleanFidInception:
    return CleanFidInception.load(path, "cpu", mode=mode, published=False)


def of_clean_fid(folder: Path, network, mode: str) -> np.ndarray:
    """clean-fid's own path from files to features, one at a time as sizes differ."""
    with warnings.catch_warnings():  # its resizers silence the whole process
        return get_folder_features(
            str(folder), network, num_workers=0, batch_size=1, device=torch.device("cpu"),
            mode=mode, verbose=False,
        )  # fmt: skip


@pytest.mark.parametrize("mode", ["clean", "legacy_tensorflow"])
def test_features_are_those_of_clean_fid_on_the_same_files(clean_weights, pictures, mode):
    from cleanfid.inception_torchscript import InceptionV3W

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load`", FutureWarning)
        network = InceptionV3W(
            str(clean_weights.parent), download=False, resize_inside=mode == "legacy_tensorflow"
        )
    ours = stand_in(clean_weights, mode).extract(read(pictures))
    assert ours.pool.shape == (4, 2048)
    np.testing.assert_allclose(ours.pool, of_clean_fid(pictures, network, mode), atol=1e-5)


def test_legacy_pytorch_features_are_those_of_clean_fid_with_pytorch_fids_weights(
    state_dict, pictures, monkeypatch
):
    from cleanfid import inception_pytorch

    state = torch.load(state_dict, weights_only=True)
    monkeypatch.setattr(inception_pytorch, "load_state_dict_from_url", lambda *a, **k: state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = inception_pytorch.InceptionV3(output_blocks=[3], resize_input=False).eval()
    theirs = of_clean_fid(
        pictures, lambda x: network(x / 255)[0].squeeze(-1).squeeze(-1), "legacy_pytorch"
    )
    monkeypatch.setattr(
        inception_pytorch, "load_state_dict_from_url", lambda *a, **k: pytest.fail("a download")
    )
    extractor = stand_in(state_dict, "legacy_pytorch")
    ours = extractor.extract(read(pictures))
    np.testing.assert_allclose(ours.pool, theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.logits, theirs @ state["fc.weight"].numpy().T, atol=1e-3)
    assert extractor.provides == {"pool", "fid", "logits"}


@pytest.mark.parametrize("mode", ["clean", "legacy_pytorch", "legacy_tensorflow"])
def test_prepared_images_are_bit_for_bit_what_clean_fid_gives_its_network(
    clean_weights, pictures, mode
):
    from cleanfid.utils import ResizeDataset

    paths = sorted(pictures.iterdir())
    with warnings.catch_warnings():
        theirs = ResizeDataset(paths, mode)
        wanted = [theirs[i].numpy() for i in range(len(paths))]
    extractor = CleanFidInception(Layers(), "0" * 64, "cpu", mode=mode)
    with ThreadPoolExecutor(3) as pool:  # as a pass over many images does
        ours = list(pool.map(extractor.prepare, read(pictures)))
    for one, two in zip(ours, wanted, strict=True):
        if mode == "legacy_tensorflow":  # the network's own wrapper makes floats of them
            one = (torch.from_numpy(one).float() / 255 * 255).numpy()
        np.testing.assert_array_equal(one, two)


def test_preparing_for_clean_fids_oldest_mode_leaves_warnings_as_they_were(clean_weights):
    CleanFidInception(Layers(), "0" * 64, "cpu", mode="legacy_pytorch")
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


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

    extractor = stand_in(save_scripted(OnlyLayers(), tmp_path / INCEPTION_TORCHSCRIPT.file))
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


def test_the_real_architecture_gives_torchmetrics_features_and_logits(state_dict, pictures):
    from torchmetrics.image.fid import NoTrainInceptionV3

    features = TorchmetricsInception.load(state_dict, "cpu", published=False).extract(
        read(pictures)
    )
    theirs = NoTrainInceptionV3("inception-v3-compat", ["logits_unbiased"], str(state_dict))
    for row, image in zip(features.logits, read(pictures), strict=True):
        with torch.inference_mode():
            wanted = theirs(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])
        np.testing.assert_allclose(row, wanted[0].numpy(), rtol=1e-3, atol=1e-3)
    assert features.pool.shape == (4, 2048)


def test_torch_fidelity_features_are_those_of_its_own_command(state_dict, pictures):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    theirs = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], str(state_dict)
    )
    ours = TorchFidelityInception.load(state_dict, "cpu", published=False).extract(read(pictures))
    for pool, logits, image in zip(ours.pool, ours.logits, read(pictures), strict=True):
        with torch.inference_mode():
            wanted = theirs(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])
        np.testing.assert_allclose(pool, wanted[0][0].numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(logits, wanted[1][0].numpy(), rtol=1e-3, atol=1e-3)


def test_fingerprints_tell_weights_libraries_and_resizing_apart():
    modes = ("clean", "legacy_tensorflow", "legacy_pytorch")
    made = [CleanFidInception(Layers(), "0" * 64, "cpu", mode=mode) for mode in modes]
    made += [kind(Layers(), "0" * 64, "cpu") for kind in (
        TorchmetricsInception, TorchFidelityInception,
    )]  # fmt: skip
    made.append(TorchmetricsInception(Layers(), "1" * 64, "cpu"))
    assert len({extractor.fingerprint for extractor in made}) == len(made)
    assert len({extractor.facts["resize"] for extractor in made}) == len(made) - 1
    assert {extractor.name for extractor in made} == {
        name for name in NAMES if name.startswith("inception-")
    }


def test_weights_are_found_where_the_user_put_them(clean_weights, monkeypatch, tmp_path):
    digest = hashlib.sha256(clean_weights.read_bytes()).hexdigest()
    monkeypatch.setattr(
        module, "INCEPTION_TORCHSCRIPT", replace(INCEPTION_TORCHSCRIPT, sha256=digest)
    )
    monkeypatch.setenv("GLIDE_EVAL_WEIGHTS", str(clean_weights.parent))
    named = load_extractor("inception-clean")
    monkeypatch.delenv("GLIDE_EVAL_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cached = tmp_path / "glide-eval" / "weights" / INCEPTION_TORCHSCRIPT.file
    cached.parent.mkdir(parents=True)
    cached.symlink_to(clean_weights)
    assert load_extractor("inception-clean").fingerprint == named.fingerprint


def test_pytorch_fids_copy_in_torch_hubs_cache_is_found_too(state_dict, monkeypatch, tmp_path):
    digest = hashlib.sha256(state_dict.read_bytes()).hexdigest()
    monkeypatch.setattr(
        module, "INCEPTION_STATE_DICT", replace(INCEPTION_STATE_DICT, sha256=digest)
    )
    monkeypatch.delenv("GLIDE_EVAL_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    cached = tmp_path / "torch" / "hub" / "checkpoints" / INCEPTION_STATE_DICT.aliases[0]
    cached.parent.mkdir(parents=True)
    cached.symlink_to(state_dict)
    assert load_extractor("inception-legacy-pytorch").facts["weights"] == digest


def test_only_the_published_files_are_run(clean_weights, state_dict):
    with pytest.raises(WeightsError, match=r"inception-2015-12-05\.pt is .* begins f58cb9b6"):
        CleanFidInception.load(clean_weights)
    for load in (TorchmetricsInception.load, TorchFidelityInception.load):
        with pytest.raises(WeightsError, match=r"another model: .* begins 6726825d"):
            load(state_dict)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("inception-clean", INCEPTION_TORCHSCRIPT.file),
        ("inception-legacy-tensorflow", INCEPTION_TORCHSCRIPT.file),
        ("inception-legacy-pytorch", INCEPTION_STATE_DICT.file),
        ("inception-torchmetrics", INCEPTION_STATE_DICT.file),
        ("inception-torch-fidelity", INCEPTION_STATE_DICT.file),
    ],
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
    assert "glide-eval models fetch inception --only" in message
    assert "nothing is downloaded" in message
    assert "\n" not in message


def test_corrupt_and_foreign_weights_are_named(tmp_path):
    clean, metrics = tmp_path / INCEPTION_TORCHSCRIPT.file, tmp_path / INCEPTION_STATE_DICT.file
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
    with pytest.raises(WeightsError, match="pytorch-fid's Inception-v3 state dict"):
        stand_in(metrics, "legacy_pytorch")
    with pytest.raises(WeightsError, match=r"gone\.pt is missing"):
        CleanFidInception.load(tmp_path / "gone.pt")


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / INCEPTION_STATE_DICT.file
    torch.save({"weight": Trap()}, path)
    for load in (
        TorchmetricsInception.load,
        partial(CleanFidInception.load, mode="legacy_pytorch"),
    ):
        with pytest.raises(WeightsError, match="corrupt or of another model"):
            load(path, published=False)
    assert not (tmp_path / "ran").exists()


def test_without_torch_fidelity_the_message_says_what_to_install(tmp_path, monkeypatch):
    import torchmetrics.image.fid as library

    monkeypatch.setattr(library, "_TORCH_FIDELITY_AVAILABLE", False)
    path = tmp_path / INCEPTION_STATE_DICT.file
    torch.save({}, path)
    with pytest.raises(WeightsError, match="pip install torch-fidelity"):
        TorchmetricsInception.load(path, published=False)


def test_a_gpu_is_used_when_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device(None) == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(None) == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device(None) == choose_device("auto") == torch.device("mps")
