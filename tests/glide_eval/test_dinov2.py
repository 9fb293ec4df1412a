"""DINOv2 through timm, with random weights in Meta's layout."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional as F
from torchvision import transforms

from glide_eval.errors import UsageError, WeightsError
from glide_eval.extractors import EXTRACTORS, load_extractor
from glide_eval.extractors.dinov2 import DinoV2
from glide_eval.files import read_rgb
from tests.glide_eval.stand_ins import dinov2_state, images

SMALL = "vit_small_patch14_dinov2"
NAME = "dinov2-vit-s-14"


@pytest.fixture(scope="module")
def state():
    return dinov2_state()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, state):
    folder = tmp_path_factory.mktemp("dinov2")
    torch.save(state, folder / EXTRACTORS[NAME].published.file)
    for i, image in enumerate(images(2, 300, 200)):
        Image.fromarray(image).save(folder / f"{i}.{'jpg' if i % 2 else 'png'}")
    return folder


@pytest.fixture(scope="module")
def dino(folder) -> DinoV2:
    return DinoV2.from_file(SMALL, folder / EXTRACTORS[NAME].published.file, "cpu")


def prepared_as_in_dgm_eval(folder) -> torch.Tensor:
    prepare = transforms.Compose(
        [
            transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize(np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])),
        ]
    )
    return torch.stack([prepare(Image.open(folder / name)) for name in ("0.png", "1.jpg")])


def class_token(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The network written out from its description, positions interpolated as Meta's code does."""

    def linear(x, name):
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(x, name):
        return F.layer_norm(x, (384,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    patches = F.conv2d(
        x, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=14
    )
    x = torch.cat(
        [state["cls_token"].expand(len(x), 1, 384), patches.flatten(2).transpose(1, 2)], dim=1
    )
    square = state["pos_embed"][:, 1:].view(1, 37, 37, 384).permute(0, 3, 1, 2)
    small = F.interpolate(square, scale_factor=(16.1 / 37, 16.1 / 37), mode="bicubic")
    positions = small.permute(0, 2, 3, 1).reshape(1, 256, 384)
    x = x + torch.cat([state["pos_embed"][:, :1], positions], dim=1)
    for i in range(12):
        block = f"blocks.{i}"
        qkv = linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv")
        q, k, v = qkv.view(len(x), 257, 3, 6, 64).permute(2, 0, 3, 1, 4)
        seen = torch.softmax(q @ k.transpose(-2, -1) / 8, dim=-1) @ v
        seen = linear(seen.transpose(1, 2).reshape(len(x), 257, 384), f"{block}.attn.proj")
        x = x + state[f"{block}.ls1.gamma"] * seen
        hidden = F.gelu(linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1"))
        x = x + state[f"{block}.ls2.gamma"] * linear(hidden, f"{block}.mlp.fc2")
    return norm(x, "norm")[:, 0]


def test_features_are_metas_class_token_of_images_prepared_as_in_dgm_eval(dino, folder, state):
    features = dino.extract([read_rgb(folder / name) for name in ("0.png", "1.jpg")])
    with torch.inference_mode():
        wanted = class_token(state, prepared_as_in_dgm_eval(folder))
    assert features.pool.dtype == np.float32
    np.testing.assert_allclose(features.pool, wanted.numpy(), rtol=1e-3, atol=1e-3)
    assert dino.provides == {"pool", "fd_dinov2"}
    assert features.logits is None


def test_weights_that_need_no_resampling_give_timms_own_features(folder, tmp_path):
    state = dinov2_state(grid=16)
    path = tmp_path / "small.safetensors"
    save_file(state, path)
    network = timm.create_model(SMALL, num_classes=0, img_size=224).eval()
    network.load_state_dict({k: v for k, v in state.items() if k != "mask_token"})
    with torch.inference_mode():
        wanted = network(prepared_as_in_dgm_eval(folder))
    ours = load_extractor(f"dinov2:{SMALL}:{path}")
    pool = ours.extract([read_rgb(folder / name) for name in ("0.png", "1.jpg")]).pool
    np.testing.assert_allclose(pool, wanted.cpu().numpy(), rtol=1e-4, atol=1e-4)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert ours.name == f"dinov2-vit-small-patch14-{digest[:6]}"


def test_a_published_size_loads_only_the_published_file(folder, monkeypatch):
    path = folder / EXTRACTORS[NAME].published.file
    with pytest.raises(WeightsError, match="DINOv2 ViT-S/14, whose sha256 begins b938bf1b"):
        DinoV2.load(NAME, path, "cpu")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    record = EXTRACTORS[NAME]
    file = replace(record.published, sha256=digest)
    monkeypatch.setitem(EXTRACTORS, NAME, replace(record, file=file))
    monkeypatch.setenv("GLIDE_EVAL_WEIGHTS", str(folder))
    found = load_extractor(NAME)
    assert (found.name, found.facts["weights"]) == (NAME, digest)


def test_registers_are_resampled_their_own_way(tmp_path):
    """Meta trained those networks with antialiasing and without the added tenth of a patch."""
    from glide_eval.extractors.dinov2 import _resampled

    positions = torch.randn(1, 1370, 4, generator=torch.Generator().manual_seed(0))
    with_registers = _resampled(positions, 16, like_registers=True)
    without = _resampled(positions, 16, like_registers=False)
    square = positions[:, 1:].view(1, 37, 37, 4).permute(0, 3, 1, 2)
    wanted = F.interpolate(square, size=(16, 16), mode="bicubic", antialias=True)
    torch.testing.assert_close(with_registers[:, 1:], wanted.permute(0, 2, 3, 1).reshape(1, 256, 4))
    torch.testing.assert_close(with_registers[:, :1], positions[:, :1])
    assert (with_registers - without).abs().max() > 0.1
    assert _resampled(positions[:, 1:], 16, like_registers=False).shape == (1, 256, 4)
    assert _resampled(without, 16, like_registers=False) is without


def test_fingerprints_follow_the_weights(dino, tmp_path):
    other = DinoV2("dinov2-vit-s-14", torch.nn.Identity(), "1" * 64, "cpu")
    same = DinoV2("dinov2-vit-s-14", torch.nn.Identity(), "1" * 64, "cpu")
    larger = DinoV2("dinov2-vit-l-14", torch.nn.Identity(), "1" * 64, "cpu")
    assert other.fingerprint == same.fingerprint
    assert len({dino.fingerprint, other.fingerprint, larger.fingerprint}) == 3


def test_weights_of_another_network_are_named_with_what_was_found(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"noise": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match=f"expected DINOv2 weights of {SMALL}, found"):
        DinoV2.from_file(SMALL, path, "cpu")
    path.with_suffix(".pth").write_bytes(b"<html>")
    with pytest.raises(WeightsError, match="corrupt or of another model"):
        DinoV2.from_file(SMALL, path.with_suffix(".pth"), "cpu")


def test_an_unknown_architecture_is_wrong_usage_that_lists_the_known_ones(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"no DINOv2 named 'resnet50'; it has .*vit_small"):
        DinoV2.from_file("resnet50", tmp_path / "w.pth", "cpu")


def test_absent_weights_say_how_to_fetch_them(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GLIDE_EVAL_WEIGHTS", raising=False)
    monkeypatch.delenv("TORCH_HOME", raising=False)
    with pytest.raises(WeightsError) as caught:
        load_extractor("dinov2-vit-l-14")
    message = str(caught.value)
    assert message.startswith("dinov2_vitl14_pretrain.pth is not on this machine: looked in ")
    assert "glide-eval models fetch dinov2-vit-l-14" in message
    assert str(tmp_path / "cache" / "torch" / "hub" / "checkpoints") in message
