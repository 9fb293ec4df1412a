"""CLIP (Radford et al. 2021) through open_clip: embeddings of images and of their captions.

The network, its preparation of images and its tokenizer are open_clip's own. This module loads
weights from disk, reports captions that are too long, and adapts the network to `Extractor`.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from glide_eval.errors import UsageError, WeightsError

from .catalogue import EXTRACTORS
from .network import choose_device, inference, stacks
from .protocol import ClipFeatures, Extractor, Features
from .published import file_digest, foreign


class OpenClip(Extractor):
    """A CLIP of open_clip's; `pool` is its unit image embeddings.

    Args:
        name: of the extractor.
        architecture: open_clip's name, such as `ViT-B-16-quickgelu`.
        model: that network, as open_clip builds it.
        weights_sha256: hex, for the fingerprint.
        device: where it runs; None is CUDA, else an Apple GPU, else the CPU.
    """

    provides = frozenset({"clip", "cmmd"})

    def __init__(
        self,
        name: str,
        architecture: str,
        model: Any,
        weights_sha256: str,
        device: torch.device | str | None = None,
    ) -> None:
        import open_clip
        from open_clip.transform import PreprocessCfg, image_transform_v2

        self.name = name
        self._device = choose_device(device)
        self._model = model.eval().to(self._device)
        rule = PreprocessCfg(**model.visual.preprocess_cfg)
        self._transform: Any = image_transform_v2(rule, is_train=False)
        self._tokenizer: Any = open_clip.get_tokenizer(architecture)
        crop = "central square" if rule.resize_mode == "shortest" else "none"
        self.facts = {
            "extractor": name,
            "version": "1",
            "architecture": architecture,
            "weights": weights_sha256,
            "resize": f"open_clip: Pillow {rule.interpolation}, {rule.resize_mode}, to {rule.size}",
            "crop": crop,
            "quantisation": "uint8",
            "normalisation": f"mean {rule.mean}, deviation {rule.std}",
            "context": f"{self._tokenizer.context_length} tokens",
            "dtype": "float32",
        }

    @classmethod
    def load(
        cls,
        name: str,
        path: Path | None = None,
        device: torch.device | str | None = None,
        *,
        published: bool = True,
    ) -> Self:
        """Load one of OpenAI's CLIPs, from its file at `path` or wherever it lies on disk.

        Args:
            name: `clip-vit-b-16`, GLIDE's CLIP score, or `clip-vit-l-14-336`, CMMD's.
            path: the file; None looks for it (`PublishedFile.find`).
            device: see the class.
            published: see `from_file`.

        Raises:
            WeightsError: it is missing, or holds another network.
        """
        record = EXTRACTORS[name]
        path = path or record.published.find()
        model, digest = _open(record.architecture, path, published=published)
        return cls(name, record.architecture, model, digest, device)

    @classmethod
    def from_file(
        cls,
        architecture: str,
        path: Path,
        device: torch.device | str | None = None,
        *,
        published: bool = True,
    ) -> Self:
        """Load any open_clip architecture with its own tokenizer, named after it and the weights.

        Args:
            architecture: open_clip's name.
            path: a state dict, as safetensors or saved by torch, or OpenAI's TorchScript archive.
            device: see the class.
            published: run a TorchScript archive, which is code, only if OpenAI published it, told
                by its sha256. False runs whatever is there.

        Raises:
            UsageError: there is no such architecture, or its tokenizer would be downloaded.
            WeightsError: the file is missing or holds another network.
        """
        model, digest = _open(architecture, path, published=published)
        name = f"clip-{architecture.lower().removesuffix('-quickgelu')}-{digest[:6]}"
        return cls(name, architecture, model, digest, device)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """See `Extractor`: float32 (3, size, size), normalised, by open_clip's own transform."""
        return self._transform(Image.fromarray(image)).numpy()

    def embed(
        self, prepared: Sequence[np.ndarray], captions: Sequence[str] | None = None
    ) -> Features:
        """See `Extractor`; float32. Captions longer than the context are read up to its end."""
        with inference():
            images = torch.cat(
                [
                    self._model.encode_image(batch, normalize=True)
                    for batch in stacks(prepared, self._device)
                ]
            )
            pool = images.float().cpu().numpy()
            if captions is None:
                return Features(pool)
            tokens = self._tokenizer(list(captions)).to(self._device)
            texts = self._model.encode_text(tokens, normalize=True).float().cpu().numpy()
            scale = float(self._model.logit_scale.exp())
        cut = np.array([self._too_long(caption) for caption in captions], bool)
        return Features(pool, clip=ClipFeatures(pool, texts, scale, cut))

    def _too_long(self, caption: str) -> bool:
        """Return whether the caption, with its start and end, is longer than the context."""
        return len(self._tokenizer.encode(caption)) + 2 > self._tokenizer.context_length


def _open(architecture: str, path: Path, *, published: bool) -> tuple[Any, str]:
    """Return the network with the weights at `path`, and their sha256."""
    import open_clip

    config = _config(architecture)
    expected = f"weights of open_clip's {architecture}"
    digest = file_digest(path, expected)
    archive = _is_torchscript(path)
    if archive:
        _must_be_openais(architecture, config, path, digest, published=published)
    with _quiet():  # it says that the weights it is about to be given are missing
        model: Any = open_clip.create_model(
            architecture, force_preprocess_cfg=_preprocessing(architecture)
        )
    try:
        if archive:
            model.load_state_dict(_torchscript_state(path))
        else:
            open_clip.load_checkpoint(model, str(path))
    except Exception as error:  # readers of pickles, zips and safetensors raise nearly anything
        raise foreign(path, expected, error) from error
    return model, digest


def _config(architecture: str) -> Mapping[str, Any]:
    """Return open_clip's description of an architecture that needs nothing but weights."""
    import open_clip

    config = open_clip.get_model_config(architecture)
    if config is None:
        raise UsageError(
            f"open_clip has no architecture {architecture!r}: expected a name such as "
            "ViT-B-16-quickgelu or ViT-L-14; `open_clip.list_models()` names all."
        )
    text = config["text_cfg"]
    if "hf_tokenizer_name" in text or "hf_model_name" in text:
        raise UsageError(
            f"open_clip's {architecture} reads captions with a tokenizer from the Hugging Face "
            "hub, which would be downloaded in the middle of a run: expected an architecture with "
            "CLIP's own tokenizer, such as ViT-B-16-quickgelu."
        )
    return config


def _preprocessing(architecture: str) -> dict[str, Any]:
    """Return how images are prepared, if all published weights of an architecture agree.

    Else open_clip's default stands, which is OpenAI's.
    """
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    tags = list_pretrained_tags_by_model(architecture)
    rules = [get_pretrained_cfg(architecture, tag) for tag in tags]
    fields = ("mean", "std", "interpolation", "resize_mode")
    found = [{field: rule[field] for field in fields if rule.get(field)} for rule in rules]
    return found[0] if found and all(rule == found[0] for rule in found) else {}


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _must_be_openais(
    architecture: str, config: Mapping[str, Any], path: Path, digest: str, *, published: bool
) -> None:
    """Refuse an archive of code that OpenAI did not publish, or of another activation."""
    from open_clip.pretrained import get_pretrained_cfg

    known = get_pretrained_cfg(architecture, "openai").get("url", "")
    sha256 = known.split("/")[-2] if known else ""  # it stands in the address
    if published and digest != sha256:
        expected = f"sha256 begins {sha256[:8]}" if sha256 else "OpenAI published none of this name"
        raise WeightsError(
            f"{path} is corrupt or of another model: expected OpenAI's TorchScript archive of "
            f"{architecture} ({expected}), found {digest[:8]} in {path.stat().st_size:,} bytes. "
            "An archive is code, so no other is run; give a state dict or safetensors instead."
        )
    if not config.get("quick_gelu"):
        raise WeightsError(
            f"{path} holds OpenAI's weights, trained with QuickGELU: expected an architecture that "
            f"has it, found {architecture}. Use {architecture}-quickgelu."
        )


def _torchscript_state(path: Path) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load`", FutureWarning)
        state = torch.jit.load(path, map_location="cpu").state_dict()
    facts = ("input_resolution", "context_length", "vocab_size")  # of the network, not weights
    return {name: value for name, value in state.items() if name not in facts}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(previous)
