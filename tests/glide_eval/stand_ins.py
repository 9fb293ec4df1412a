"""Random weights in the layouts of the published files, for the real loading code."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

CLIP = "tiny-quickgelu"  # an architecture open_clip has never heard of; see `add_tiny_clip`
TINY_CLIP = {
    "embed_dim": 8,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}


def images(n: int, height: int = 40, width: int = 40, seed: int = 0) -> list[np.ndarray]:
    """Smooth random pictures: uint8 (height, width, 3) each."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (n, 5, 5, 3), dtype=np.uint8)
    return [np.asarray(Image.fromarray(i).resize((width, height))) for i in small]


def save_scripted(network: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
        torch.jit.script(network).save(str(path))
    return path


class Layers(nn.Module):
    """Stands for Inception's convolutions: (n, 3, 299, 299) in −1..1 -> (n, 2048, 1, 1)."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(3, 32, 23, stride=23)
        self.widen = nn.Linear(32 * 13 * 13, 2048)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.widen(torch.tanh(self.mix(x)).flatten(1))[:, :, None, None]


class TorchScriptForm(nn.Module):
    """The parts of NVIDIA's file that are used: resizing, `layers`, then `output`."""

    def __init__(self):
        super().__init__()
        self.layers = Layers()
        self.output = nn.Linear(2048, 1008)

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        resized = nn.functional.interpolate(
            img.to(torch.float32), size=[299, 299], mode="bilinear", align_corners=False
        )
        features = self.layers((resized - 128) / 128).flatten(1)
        if return_features:
            return features
        return torch.softmax(self.output(features), 1)


def save_torchscript_inception(path: Path) -> Path:
    torch.manual_seed(0)
    return save_scripted(TorchScriptForm(), path)


def save_inception_state_dict(path: Path) -> Path:
    """torch-fidelity's own architecture with random weights, saved as it is released."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Unloaded(FeatureExtractorInceptionV3):
        def load_state_dict(self, *args, **kwargs):
            return None

    torch.manual_seed(0)
    empty = path.with_name("empty.pth")
    torch.save({}, empty)
    torch.save(Unloaded("inception-v3-compat", ["2048"], str(empty)).state_dict(), path)
    empty.unlink()
    return path


def add_tiny_clip(folder: Path, **changes) -> None:
    """Make open_clip know the architecture `CLIP`."""
    import open_clip

    (folder / f"{CLIP}.json").write_text(json.dumps(TINY_CLIP | changes))
    open_clip.add_model_config(folder)


def clip_state() -> dict[str, torch.Tensor]:
    """Random weights of `CLIP`, strong enough that every layer counts."""
    import open_clip

    torch.manual_seed(0)
    state = open_clip.create_model(CLIP).state_dict()
    return {
        k: v if k == "logit_scale" else v + 0.1 * torch.randn(v.shape) for k, v in state.items()
    }


class Holder(nn.Module):
    """A tree of parameters under given dotted names, as a scripted network would hold them."""

    def __init__(self, tensors: dict[str, torch.Tensor]):
        super().__init__()
        for child in dict.fromkeys(name.split(".")[0] for name in tensors):
            if child in tensors:
                self.register_parameter(child, nn.Parameter(tensors[child], requires_grad=False))
                continue
            below = {k.split(".", 1)[1]: v for k, v in tensors.items() if k.startswith(f"{child}.")}
            self.add_module(child, Holder(below))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def save_openai_clip(path: Path) -> Path:
    """As OpenAI publishes CLIP: a TorchScript archive in half precision, with three numbers."""
    halved = {name: value.half() for name, value in clip_state().items()}
    numbers = {"input_resolution": 32, "context_length": 77, "vocab_size": 49408}
    return save_scripted(
        Holder(halved | {k: torch.tensor(float(v)) for k, v in numbers.items()}), path
    )


def dinov2_state(grid: int = 37, seed: int = 0) -> dict[str, torch.Tensor]:
    """ViT-S/14 in Meta's layout: positions for grid × grid patches, strong random weights."""
    import timm

    torch.manual_seed(seed)
    network = timm.create_model("vit_small_patch14_dinov2", num_classes=0, img_size=14 * grid)
    state = {k: v + 0.05 * torch.randn(v.shape) for k, v in network.state_dict().items()}
    for name in state:
        if name.endswith("gamma"):
            state[name] = torch.rand(state[name].shape)
    state["pos_embed"] = torch.randn(state["pos_embed"].shape)
    return state | {"mask_token": torch.zeros(1, 384)}
