"""Any text-to-image pipeline of diffusers as an image source.

    [generator]
    model = "diffusers:stabilityai/stable-diffusion-xl-base-1.0"      # or a folder

Nothing is downloaded here: `glide-eval models fetch diffusers:ID` does that. Weights are read from
safetensors alone, which run no code.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import numpy as np
from pydantic import Field, model_validator

from glide_eval.errors import ConfigError, GlideEvalError, UsageError, WeightsError
from glide_eval.files import Table, Text, nearest

from .editing import Batch
from .guiders import DIFFUSERS, GUIDERS, made_guider, options_with
from .repositories import licence_of, located_repository, revision_of, weight_digests
from .source import DrawnArm, Images, ImageSource, Opening, Size
from .tables import ArmOptions, GeneratorTable

Side = Annotated[int, Field(ge=16, le=8192)]


class LoraTable(Table):
    """`loras = [{...}]`: weights that are added to the pipeline's.

    Attributes:
        path: a safetensors file, or a folder or repo id that holds one.
        scale: how strongly they act.
        file: which file of a folder.
    """

    path: Text
    scale: float = 1.0
    file: Text | None = None


class DiffusersSettings(GeneratorTable):
    """`[generator]` of a diffusers pipeline.

    Attributes:
        revision: branch, tag or commit of a repo on the hub; its commit is recorded.
        variant: of the weight files, such as `fp16`.
        offload: `model` or `sequential` keep parts of the pipeline in main memory.
        size: of the images: the side of a square, or [width, height]; by default the pipeline's.
        safety_checker: whether a pipeline's own safety checker looks at the images.
        loras: LoRA weights, in order.
    """

    revision: Text | None = None
    variant: Text | None = None
    offload: Literal["none", "model", "sequential"] = "none"
    size: Side | Annotated[tuple[Side, Side], Field(strict=False)] | None = None
    safety_checker: bool = True
    loras: list[LoraTable] = Field(default_factory=list[LoraTable])

    @model_validator(mode="after")
    def _no_tf32(self) -> DiffusersSettings:
        if self.dtype == "tf32":
            raise ValueError('found dtype = "tf32", which diffusers has not; use "float32"')
        return self


class DiffusersOptions(ArmOptions):
    """What every arm of a diffusers pipeline may say.

    Attributes:
        steps: of the scheduler.
        scheduler: name of a class of `diffusers`; by default the pipeline's own.
        scheduler_options: its arguments; the others are the pipeline's own.
        negative_prompt: what the image shall not show, in every image of the arm.
        max_sequence_length: tokens that a T5 encoder reads.
    """

    steps: Annotated[int, Field(ge=1, le=1000)] = 50
    scheduler: Text | None = None
    scheduler_options: dict[str, Any] = Field(default_factory=dict[str, Any])
    negative_prompt: Text | None = None
    max_sequence_length: Annotated[int, Field(ge=1, le=4096)] | None = None

    def identity(self) -> dict[str, Any]:
        """See `ArmOptions.identity`; options at their defaults are not part of it."""
        fields = type(self).model_fields
        told = super().identity()
        plain = [n for n in told if n != "steps" and getattr(self, n) == fields[n].get_default(
            call_default_factory=True, validated_data={})]  # fmt: skip
        return {name: value for name, value in told.items() if name not in plain}


class DiffusersSource(ImageSource):
    """A pipeline that `AutoPipelineForText2Image` loads."""

    Settings: ClassVar[type[GeneratorTable]] = DiffusersSettings
    Options: ClassVar[type[ArmOptions]] = DiffusersOptions
    strategies = DIFFUSERS

    def __init__(
        self, pipeline: Any, folder: Path, settings: DiffusersSettings, device: str, dtype: str
    ) -> None:
        self.pipeline, self.folder, self.settings = pipeline, folder, settings
        self.device, self.dtype = device, dtype
        self.size = settings.size or _own_size(pipeline)
        self._scheduler = pipeline.scheduler
        self._modular: Any = None
        self._takes = set(inspect.signature(type(pipeline).__call__).parameters)
        self._weights: dict[str, str] = {}

    @classmethod
    def options_of(cls, strategy: str) -> type[ArmOptions]:
        """See `ImageSource.options_of`."""
        return options_with(DiffusersOptions, strategy)

    @classmethod
    def open(cls, opening: Opening) -> Self:
        """See `ImageSource.open`.

        Raises:
            WeightsError: the pipeline is not on disk, or not whole.
            ConfigError: it is no text-to-image pipeline; a LoRA does not fit.
        """
        _library()
        settings = cast(DiffusersSettings, opening.settings)
        device, dtype = opening.place()
        folder = located_repository(opening.argument, settings.revision, opening.folder)
        pipeline = _loaded(folder, settings, dtype)
        pipeline.set_progress_bar_config(disable=True)
        source = cls(pipeline, folder, settings, device, dtype)
        source._add_loras(opening.folder)
        if settings.offload == "none":
            pipeline.to(device)
        elif settings.offload == "model":
            pipeline.enable_model_cpu_offload(device=device)
        else:
            pipeline.enable_sequential_cpu_offload(device=device)
        return source

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of each weights file, by its path in the repo."""
        if not self._weights:
            self._weights = weight_digests(self.folder, self.settings.variant)
            for table, path in self._loras():
                self._weights |= {
                    f"lora/{table.path}/{name}": digest
                    for name, digest in weight_digests(path, None).items()
                }
        return dict(self._weights)

    def facts(self) -> dict[str, Any]:
        """Return pipeline, commit, licence, scheduler and versions."""
        import diffusers
        import transformers

        return {
            "pipeline": type(self.pipeline).__name__,
            "revision": revision_of(self.folder),
            "license": licence_of(self.folder),
            "scheduler": {
                "class": type(self._scheduler).__name__,
                **{k: v for k, v in self._scheduler.config.items() if not k.startswith("_")},
            },
            "versions": {
                "diffusers": diffusers.__version__,
                "transformers": transformers.__version__,
            },
        }

    def check(self, arm: DrawnArm) -> None:
        """See `ImageSource.check`: the guidance, the scheduler and the options must fit.

        Raises:
            ConfigError: they don't; says what this pipeline can do.
        """
        if arm.editing is not None:
            raise ConfigError(
                f"Arm `{arm.name}` edits pictures; a diffusers pipeline here draws from prompts "
                "alone. Use a GLIDE generator for that arm."
            )
        options = cast(DiffusersOptions, arm.options)
        self._made_scheduler(arm)
        for name in ("negative_prompt", "max_sequence_length"):
            if getattr(options, name) is not None and name not in self._takes:
                raise ConfigError(
                    f"Arm `{arm.name}`: `{name}` has no meaning for {type(self.pipeline).__name__}"
                    ". Leave it out."
                )
        able = [name for name in self.strategies if self._can(name)]
        if arm.strategy not in able or (self._by_guider(arm) and not self._guidable()):
            known = arm.strategy in able
            wants = " with a scale below 1, `interval` or `rescale`" if known else ""
            raise ConfigError(
                f"Arm `{arm.name}`: {type(self.pipeline).__name__} can't be guided by "
                f"{arm.strategy}{wants}. It can do {', '.join(able)}."
            )
        if self._by_guider(arm):
            try:
                made_guider(arm.strategy, arm.scale, options)
            except ImportError as error:
                raise UsageError(
                    f"Arm `{arm.name}`: {arm.strategy} needs a package that is not installed here "
                    f"({error}). Install it: pip install 'glide-eval[diffusers]'."
                ) from error

    def notes(self, captions: Sequence[str], strategies: Sequence[str] = ()) -> list[str]:
        """See `ImageSource.notes`: what the tokenizers cut off."""
        del strategies
        found: list[str] = []
        for name, tokenizer in self.pipeline.components.items():
            if tokenizer is None or not name.startswith("tokenizer"):
                continue
            most = min(int(tokenizer.model_max_length), 4096)
            for caption in dict.fromkeys(captions):
                ids = tokenizer(caption, truncation=False, verbose=False).input_ids
                if len(ids) > most:
                    lost = tokenizer.decode(ids[most - 1 : -1])
                    found.append(
                        f"{caption[:60]!r} is too long for this pipeline's {name}, which reads "
                        f"{most} tokens: its end, {lost[:60]!r}, is cut off."
                    )
        return found

    def generate(
        self,
        arm: DrawnArm,
        captions: Sequence[str],
        seeds: Sequence[int],
        start: Batch | None = None,
    ) -> Images:
        """See `ImageSource.generate`; noise is drawn on the CPU, from each sample's own seed."""
        import torch

        del start
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        width, height = (self.size,) * 2 if isinstance(self.size, int) else self.size
        options = cast(DiffusersOptions, arm.options)
        common: dict[str, Any] = {
            "prompt": list(captions),
            "generator": generators,
            "num_inference_steps": options.steps,
            "width": width,
            "height": height,
            "output_type": "np",
        }
        if "use_resolution_binning" in self._takes:
            # Else PixArt draws a size of its own and resizes it, and nothing would say so.
            common["use_resolution_binning"] = False
        if options.max_sequence_length is not None:
            common["max_sequence_length"] = options.max_sequence_length
        if options.negative_prompt is not None:
            common["negative_prompt"] = [options.negative_prompt] * len(captions)
        with torch.inference_mode(), _quiet():
            drawn = self._guided if self._by_guider(arm) else self._plain
            pixels, unsafe = drawn(arm, common)
        return _checked(np.asarray(pixels), unsafe, arm, captions)

    def _plain(self, arm: DrawnArm, common: dict[str, Any]) -> tuple[Any, list[bool]]:
        """Draw by the pipeline's own call."""
        self.pipeline.scheduler = self._made_scheduler(arm)
        output = self.pipeline(**self._scaled(arm), **common)
        return output.images, list(getattr(output, "nsfw_content_detected", None) or ())

    def _scaled(self, arm: DrawnArm) -> dict[str, Any]:
        """Return the arguments that say how strongly the pipeline guides."""
        scale = 1.0 if arm.scale is None else arm.scale
        true_cfg = "true_cfg_scale" in self._takes  # beside the guidance that it was distilled with
        told: dict[str, Any] = {}
        if "guidance_scale" in self._takes:
            own = arm.strategy != "classifier_free" or not true_cfg
            told["guidance_scale"] = scale if own else 1.0
        if true_cfg and arm.strategy == "classifier_free":
            told["true_cfg_scale"] = scale
            negative = cast(DiffusersOptions, arm.options).negative_prompt
            if negative is None:  # without one diffusers does not guide
                told["negative_prompt"] = " "
        rescale = getattr(arm.options, "rescale", 0.0)
        return told | ({"guidance_rescale": rescale} if rescale else {})

    def _guided(self, arm: DrawnArm, common: dict[str, Any]) -> tuple[Any, list[bool]]:
        """Draw by the modular pipeline with a guider."""
        modular = self._modular_pipeline()
        modular.update_components(
            guider=made_guider(arm.strategy, arm.scale, arm.options),
            scheduler=self._made_scheduler(arm),
        )
        return modular(**common, output="images"), []

    def _by_guider(self, arm: DrawnArm) -> bool:
        """Whether an arm needs more than the pipeline's own call does."""
        if arm.strategy not in GUIDERS:
            return False
        if arm.strategy != "classifier_free":
            return True
        if arm.scale is not None and arm.scale < 1:  # which a pipeline's own call takes for none
            return True
        rescales = arm.options.rescale and "guidance_rescale" not in self._takes
        return bool(rescales) or tuple(arm.options.interval) != (0.0, 1.0)

    def _can(self, strategy: str) -> bool:
        if strategy == "distilled":
            return _is_distilled(self.pipeline)
        if strategy == "classifier_free":
            return bool({"guidance_scale", "true_cfg_scale"} & self._takes)
        return strategy == "unguided" or self._guidable()

    def _guidable(self) -> bool:
        return "guider" in getattr(self._modular_pipeline(), "components", {})

    def _modular_pipeline(self) -> Any:
        """Return diffusers' modular pipeline of the same parts; None where it has none."""
        if self._modular is None:
            made = _library().ModularPipeline
            with _quiet(), contextlib.suppress(Exception):  # it has none of this kind
                modular: Any = made.from_pretrained(self.folder, local_files_only=True)
                parts = {k: v for k, v in self.pipeline.components.items() if v is not None}
                modular.update_components(**parts)
                modular.set_progress_bar_config(disable=True)
                self._modular = modular
        return self._modular

    def _made_scheduler(self, arm: DrawnArm) -> Any:
        """Return a scheduler of the arm, new each time, since it remembers where it was."""
        diffusers = _library()
        options = cast(DiffusersOptions, arm.options)
        own = cast("type[Any]", type(self._scheduler))
        if options.scheduler is None:
            kind: Any = own
        else:
            fitting = [own.__name__, *(c.__name__ for c in self._scheduler.compatibles)]
            kind = getattr(diffusers, options.scheduler, None)
            if options.scheduler not in fitting or kind is None:
                near = nearest(options.scheduler, fitting)
                raise ConfigError(
                    f"Arm `{arm.name}`: scheduler = {options.scheduler!r} does not fit this "
                    f"pipeline's {own.__name__}"
                    + (f"; did you mean {near!r}?" if near else ".")
                    + f" These do: {', '.join(sorted(set(fitting)))}."
                )
        known = [key for key in inspect.signature(kind.__init__).parameters if key != "self"]
        for key in options.scheduler_options:
            if key not in known:
                near = nearest(key, known)
                raise ConfigError(
                    f"Arm `{arm.name}`: {kind.__name__} has no option {key!r}"
                    + (f"; did you mean {near!r}?" if near else ".")
                    + f" It has {', '.join(known)}."
                )
        return kind.from_config(self._scheduler.config, **options.scheduler_options)

    def _loras(self) -> list[tuple[LoraTable, Path]]:
        return [(table, Path(path)) for table, path in getattr(self, "_lora_paths", [])]

    def _add_loras(self, folder: Path) -> None:
        self._lora_paths: list[tuple[LoraTable, Path]] = []
        names: list[str] = []
        for number, table in enumerate(self.settings.loras):
            path = located_repository(table.path, None, folder)
            try:
                where, file = (path.parent, path.name) if path.is_file() else (path, table.file)
                self.pipeline.load_lora_weights(
                    str(where), weight_name=file, adapter_name=f"lora{number}",
                    local_files_only=True,
                )  # fmt: skip
            except Exception as error:
                raise ConfigError(
                    f"The LoRA {table.path} can't be added to {type(self.pipeline).__name__} "
                    f"({type(error).__name__}: {error}). Name one that was trained for this model."
                ) from error
            names.append(f"lora{number}")
            self._lora_paths.append((table, path))
        if names:
            self.pipeline.set_adapters(names, [table.scale for table in self.settings.loras])


def _library() -> Any:
    """Return diffusers, which is typed in part.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        importlib.import_module("transformers")
        return importlib.import_module("diffusers")
    except ImportError as error:
        raise ConfigError(
            f"A `diffusers:` model needs packages that are not here ({error}). Install them: "
            'pip install "glide-eval[diffusers]".'
        ) from error


def _loaded(folder: Path, settings: DiffusersSettings, dtype: str) -> Any:
    import torch

    more: dict[str, Any] = {} if settings.safety_checker else {"safety_checker": None}
    try:
        with _quiet():
            return _library().AutoPipelineForText2Image.from_pretrained(
                folder,
                dtype=getattr(torch, dtype),
                variant=settings.variant,
                local_files_only=True,
                use_safetensors=True,
                **more,
            )
    except ValueError as error:
        if "AutoPipeline" not in str(error):
            raise _unloadable(folder, error) from error
        raise ConfigError(
            f"{folder} is not a text-to-image pipeline that diffusers loads by itself ({error}). "
            "Name another, or write a source of your own (docs/how-to/your-own-model.md)."
        ) from error
    except (OSError, RuntimeError, KeyError, TypeError, ImportError) as error:
        raise _unloadable(folder, error) from error


def _unloadable(folder: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{folder} can't be loaded as a diffusers pipeline ({type(error).__name__}: {error}). "
        "Weights are read from safetensors alone. Fetch it again (glide-eval models fetch "
        "diffusers:ID), or choose another `variant`."
    )


def _own_size(pipeline: Any) -> Size:
    """Return the side of the images that a pipeline draws unasked, in pixels."""
    network = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    small = getattr(pipeline, "default_sample_size", None)
    small = small or getattr(getattr(network, "config", None), "sample_size", None) or 64
    small = small if isinstance(small, int) else min(small)
    return int(small) * int(getattr(pipeline, "vae_scale_factor", 8))


def _is_distilled(pipeline: Any) -> bool:
    transformer = getattr(pipeline, "transformer", None)
    return bool(getattr(getattr(transformer, "config", None), "guidance_embeds", False))


def _checked(
    pixels: np.ndarray, unsafe: Sequence[bool], arm: DrawnArm, captions: Sequence[str]
) -> Images:
    """Return pixels 0..1 as bytes; refuse what is no picture."""
    for number, caption in enumerate(captions):
        if number < len(unsafe) and unsafe[number]:
            raise GlideEvalError(
                f"{arm.name}: the pipeline's safety checker blacked out its image of {caption!r}. "
                "Change the prompt, or set `generator.safety_checker = false` and sweep into a new "
                "folder if you may show such images."
            )
        if not np.isfinite(pixels[number]).all():
            raise GlideEvalError(
                f"{arm.name}: the image of {caption!r} is no finite numbers (NaN or infinity). "
                'Half precision overflowed, or the scale is too high: try `dtype = "float32"` or '
                '"bfloat16", or a lower scale.'
            )
        if not pixels[number].any():
            raise GlideEvalError(
                f"{arm.name}: the image of {caption!r} is black. A safety checker or half "
                'precision may be the reason: try `dtype = "float32"`.'
            )
    return (pixels * 255).round().clip(0, 255).astype(np.uint8)


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Keep the libraries' bars and advice off the terminal; errors pass."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    before = of_diffusers.get_verbosity(), of_transformers.get_verbosity()
    bars = of_diffusers.is_progress_bar_enabled(), of_transformers.is_progress_bar_enabled()
    of_diffusers.set_verbosity_error()
    of_transformers.set_verbosity_error()
    of_diffusers.disable_progress_bar()
    of_transformers.disable_progress_bar()
    try:
        yield
    finally:
        of_diffusers.set_verbosity(before[0])
        of_transformers.set_verbosity(before[1])
        if bars[0]:
            of_diffusers.enable_progress_bar()
        if bars[1]:
            of_transformers.enable_progress_bar()
