from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from generator.checkpoints import WEIGHTS, read
from generator.errors import CheckpointError, OptionError
from generator.tabletop.autoencoder import LEVELS, STRIDE, Autoencoder, AutoencoderNetwork
from generator.tabletop.dataset import reference_images
from generator.training.autoencoder import psnr, train_autoencoder
from generator.training.loop import Schedule


@pytest.fixture(scope="module")
def bundled():
    return Autoencoder.load()


@pytest.fixture(scope="module")
def scenes():
    """Scenes that no model was trained on."""
    return reference_images(6, seed=700)[0]


def sharpness(images: np.ndarray) -> float:
    """The step between neighbouring pixels that only one in a hundred exceeds: edges."""
    return float(np.quantile(np.abs(np.diff(images.astype(float), axis=2)), 0.99))


def test_a_picture_is_one_of_512_codes_for_8_by_8_pixels(bundled, scenes):
    x = torch.from_numpy(scenes).permute(0, 3, 1, 2).float() / 127.5 - 1
    codes = bundled.network.encode(x)
    assert codes.shape == (6, 3, 128 // STRIDE, 128 // STRIDE)
    places = (codes + 1) / 2 * (torch.tensor(LEVELS).view(1, 3, 1, 1) - 1)
    torch.testing.assert_close(places, places.round(), atol=1e-4, rtol=0)
    assert len(torch.unique(places.round().transpose(0, 1).flatten(1), dim=1).T) > 50


def test_gradients_pass_the_rounding():
    network = AutoencoderNetwork(width=8)
    network(torch.rand(1, 3, 16, 16)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.encoder.parameters())


def test_the_bundled_one_keeps_a_scene_recognisable_and_softens_it(bundled, scenes):
    softened = bundled.reconstruct(scenes)
    assert 22 < psnr(scenes, softened) < 36
    assert sharpness(softened) < 0.9 * sharpness(scenes)
    apart = np.array([[psnr(a[None], b[None]) for b in scenes] for a in softened])
    assert (apart.argmax(axis=1) == np.arange(6)).all()


def test_a_picture_comes_back_the_same_whatever_its_neighbours(bundled, scenes):
    np.testing.assert_array_equal(
        bundled.reconstruct(scenes[2:3])[0], bundled.reconstruct(scenes)[2]
    )


def test_sides_need_not_be_multiples_of_the_stride(bundled, scenes):
    cut = scenes[:2, :101, :67]
    whole = bundled.reconstruct(scenes[:2])[:, :80, :48]
    back = bundled.reconstruct(cut)
    assert back.shape == cut.shape
    assert np.abs(back[:, :80, :48].astype(int) - whole).mean() < 3


def test_other_arrays_are_refused_by_shape_and_dtype(bundled):
    with pytest.raises(OptionError, match=r"found float64 \(1, 16, 16, 3\)"):
        bundled.reconstruct(np.zeros((1, 16, 16, 3)))
    with pytest.raises(OptionError, match=r"found uint8 \(16, 16, 3\)"):
        bundled.reconstruct(np.zeros((16, 16, 3), np.uint8))


def test_another_models_weights_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="hold a Clip, expected an AutoencoderNetwork"):
        Autoencoder.load(WEIGHTS / "clean-clip.safetensors")
    path = tmp_path / "ae.safetensors"
    save_file({"a": torch.zeros(1)}, path,
              {"class": "AutoencoderNetwork", "config": "{}", "notes": "{}"})  # fmt: skip
    with pytest.raises(CheckpointError, match="are of another model"):
        Autoencoder.load(path)


def test_the_weights_say_how_they_came_to_be_and_are_small():
    path = WEIGHTS / "autoencoder.safetensors"
    assert path.stat().st_size < 3 * 2**20
    _, metadata = read(path)
    notes = metadata["notes"]
    assert notes["steps_done"] == notes["schedule"]["steps"]
    assert notes["psnr_unseen"] > 22


def test_training_learns_and_a_resumed_run_takes_the_same_steps(tmp_path):
    ramp = np.linspace(0, 255, 32, dtype=np.uint8)
    images = np.stack([np.broadcast_to(ramp[:, None, None], (32, 32, 3))] * 4)
    schedule = Schedule(steps=12, lr=3e-3, warmup=2, seed=5)
    whole = train_autoencoder(images, tmp_path / "a", schedule)
    assert psnr(images, Autoencoder(whole).reconstruct(images)) > 8
    resumed = train_autoencoder(images, tmp_path / "a", schedule)  # nothing left to do
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value)
