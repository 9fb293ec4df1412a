"""`glide-eval reference …`: real images' features, built once and compared with ever after."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glide_eval.errors import UsageError
from glide_eval.files import Share, count, write_text

from .devices import device_option
from .shares import share_of

if TYPE_CHECKING:
    from glide_eval.extractors import Extractor
    from glide_eval.features import Unreadable
    from glide_eval.references import RealImages, Reference

PATH = click.Path(path_type=Path)
TABLETOP = "tabletop"  # as SOURCE


@click.group("reference")
def command() -> None:
    """Build, merge and look at references: the real images that metrics compare with."""


@command.command()
@click.argument("source")
@click.option(
    "--out",
    required=True,
    type=PATH,
    metavar="FILE",
    help="Where to write it; with several extractors, FILE's name gets each one's.",
)
@click.option(
    "--extractor",
    "extractors",
    metavar="NAME",
    multiple=True,
    required=True,
    help="Who will measure the generated images; repeat for several in one pass.",
)
@click.option("--images", type=PATH, metavar="DIR", help="With COCO captions: their images.")
@click.option(
    "--captions",
    type=click.IntRange(1),
    metavar="N",
    help="With COCO captions: keep N of them, chosen by --seed.  [default: 30000]",
)
@click.option(
    "--captioned-only",
    is_flag=True,
    help="With COCO captions: only images that a kept caption is of.",
)
@click.option(
    "--count",
    type=click.IntRange(2),
    metavar="N",
    help="Of published statistics: how many images they are of. Of tabletop: how many to "
    "render.  [default: unknown; 2000]",
)
@click.option(
    "--prompts",
    type=PATH,
    metavar="SWEEP.toml",
    help="Of tabletop: render scenes of this sweep's captions, each equally often.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    metavar="N",
    help="Of the kept captions, or of the rendered scenes.  [default: 0; 20211220]",
)
@click.option(
    "--no-crop",
    is_flag=True,
    help="Do not cut images to their central square (GLIDE does, appendix A.2).",
)
@click.option(
    "--moments-only",
    is_flag=True,
    help="Keep mean and covariance alone: a smaller file, which serves FID and no other.",
)
@click.option(
    "--shard",
    metavar="I/N",
    help="Build the I-th of N parts, to be merged with `reference merge`.  [default: what "
    "SLURM_ARRAY_TASK_ID or torchrun's RANK say; then parts get names of their own, and the last "
    "task in merges them]",
)
@click.option(
    "--skip-corrupt",
    is_flag=True,
    help="Leave out files that can't be read, and list them; else they are an error.",
)
@device_option(" The tabletop extractor runs on the CPU.")
def build(
    source: str,
    out: Path,
    extractors: tuple[str, ...],
    images: Path | None,
    captions: int | None,
    captioned_only: bool,
    count: int | None,
    prompts: Path | None,
    seed: int | None,
    no_crop: bool,
    moments_only: bool,
    shard: str | None,
    skip_corrupt: bool,
    device: str,
) -> None:
    """Build a reference from SOURCE.

    \b
    a folder           its images, at any depth
    captions.json      COCO captions; --images DIR has the images
    statistics.npz     published mu and sigma, as clean-fid and ADM publish them
    tabletop           rendered scenes of the bundled world
    """  # noqa: D301 - click's mark of a block not to be wrapped
    given = {
        "--images": images,
        "--captions": captions,
        "--captioned-only": captioned_only or None,
        "--count": count,
        "--prompts": prompts,
        "--seed": seed,
        "--no-crop": no_crop or None,
        "--moments-only": moments_only or None,
        "--shard": shard,
        "--skip-corrupt": skip_corrupt or None,
    }
    kind = _kind(source)
    _refuse_idle_options(kind, [name for name, value in given.items() if value is not None])
    share = None if kind == "statistics" else share_of(shard)
    if share is not None and shard is None:  # an array's tasks are all given one FILE
        out = _part(out, share)
    # Everything below needs NumPy or torch, so mistakes above fail at once.
    from glide_eval.extractors import load_extractor
    from glide_eval.references import build_references, statistics_reference

    left_out: list[Unreadable] = []
    real = None
    if kind != "statistics":
        real = (
            _tabletop_scenes(count, seed, prompts)
            if kind == "tabletop"
            else _real_images(kind, source, images, captions, captioned_only, seed, no_crop)
        )
    loaded = [load_extractor(name, device) for name in dict.fromkeys(extractors)]
    if real is None:
        built = {e.name: statistics_reference(Path(source), e, count) for e in loaded}
    else:
        built = build_references(
            real,
            loaded,
            share=(share.index, share.of) if share else (1, 1),
            keep_features=not moments_only,
            left_out=left_out if skip_corrupt else None,
        )
    for image in left_out:
        click.echo(f"Left out: {image.reason}", err=True)
    for extractor in loaded:
        path = _path(out, extractor, len(loaded))
        built[extractor.name].save(path)
        click.echo(f"{_summary(built[extractor.name])}\nWritten to {path}.")
        if share is not None and shard is None:
            _merge_parts(path, share)


def _part(out: Path, share: Share) -> Path:
    """Return where a task of an array writes its part: `real.2-of-8.npz`."""
    return out.with_name(f"{out.stem}.{share.index}-of-{share.of}{out.suffix}")


def _merge_parts(path: Path, share: Share) -> None:
    """Merge the parts of an array's tasks, if ours is the last one in."""
    from glide_eval.references import Reference

    before, _, after = path.name.partition(f".{share.index}-of-{share.of}")
    parts = [
        path.with_name(f"{before}.{index}-of-{share.of}{after}") for index in range(1, share.of + 1)
    ]
    if all(part.is_file() for part in parts):
        whole = path.with_name(before + after)
        merged = Reference.merge([Reference.read(part) for part in parts])
        merged.save(whole)
        click.echo(f"All parts are there.\n{_summary(merged)}\nWritten to {whole}.")


@command.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, metavar="FILE", help="Where to write it.")
def merge(files: tuple[Path, ...], out: Path) -> None:
    """Merge references of one extractor: parts from several machines, or several sets of images.

    Parts add up to what one machine would have built. Refused are references of different
    extractors, and ones that hold the same image, which would count twice.
    """
    from glide_eval.references import Reference

    merged = Reference.merge([Reference.read(path) for path in files])
    merged.save(out)
    click.echo(f"{_summary(merged)}\nWritten to {out}.")


@command.command()
@click.argument("file", type=PATH)
@click.option(
    "--captions",
    metavar="OUT.csv",
    type=PATH,
    help="Write the kept captions, for `prompts.file` of a sweep.",
)
def info(file: Path, captions: Path | None) -> None:
    """Show what a reference holds: images, extractor with its facts, captions."""
    from glide_eval.references import Reference, prompts_csv

    reference = Reference.read(file)
    click.echo(_summary(reference))
    for key, fact in reference.facts.items():
        click.echo(f"  {key}: {fact}")
    if captions is not None:
        if not reference.captions:
            raise UsageError(f"{file} holds no captions: only references of COCO captions do.")
        write_text(captions, prompts_csv(reference.captions))
        click.echo(f"{count(len(reference.captions), 'caption')} written to {captions}.")


def _real_images(
    kind: str,
    source: str,
    images: Path | None,
    captions: int | None,
    captioned_only: bool,
    seed: int | None,
    no_crop: bool,
) -> RealImages:
    """The images on disk that a build is of."""
    from glide_eval.features import SQUARE
    from glide_eval.references import PAPER_CAPTIONS, RealImages, read_coco

    crop = "" if no_crop else SQUARE
    if kind == "folder":
        _say_not_images(Path(source))
        return RealImages.of_folder(Path(source), crop)
    if images is None:
        raise UsageError(f"{source}: with COCO captions, --images DIR names their images' folder.")
    chosen = read_coco(
        Path(source), captions or PAPER_CAPTIONS, seed or 0, chosen_only=captioned_only
    )
    return RealImages.of_coco(chosen, images, crop)


def _tabletop_scenes(count: int | None, seed: int | None, prompts: Path | None) -> RealImages:
    """The scenes that a build is of."""
    from glide_eval.references import TABLETOP_COUNT, TABLETOP_SEED, RealImages
    from glide_eval.sweep import load_prompts, load_sweep

    captions = [] if prompts is None else [p.caption for p in load_prompts(load_sweep(prompts))]
    return RealImages.of_tabletop(
        count or TABLETOP_COUNT, TABLETOP_SEED if seed is None else seed, captions
    )


def _kind(source: str) -> str:
    if source == TABLETOP:
        return "tabletop"
    kinds = {".json": "coco", ".npz": "statistics"}
    kind = kinds.get(Path(source).suffix.lower(), "folder")
    if not Path(source).exists():
        raise UsageError(
            f"{source} is not there: expected a folder of images, COCO captions (.json), published "
            f"statistics (.npz), or the word {TABLETOP}."
        )
    return kind


def _refuse_idle_options(kind: str, given: Sequence[str]) -> None:
    """An option without effect would look as if it had one."""
    for_images = {"--moments-only", "--shard", "--skip-corrupt", "--no-crop"}
    allowed = {
        "folder": for_images,
        "coco": for_images | {"--images", "--captions", "--captioned-only", "--seed"},
        "statistics": {"--count"},
        "tabletop": {"--count", "--prompts", "--seed", "--moments-only", "--shard"},
    }[kind]
    if idle := [name for name in given if name not in allowed]:
        names = {"folder": "a folder", "coco": "COCO captions", "statistics": "statistics"}
        raise UsageError(
            f"{', '.join(idle)} means nothing for {names.get(kind, kind)}: leave it out."
        )


def _path(out: Path, extractor: Extractor, extractors: int) -> Path:
    if extractors == 1:
        return out
    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in extractor.name)
    return out.with_name(f"{out.stem}.{name}{out.suffix}")


def _say_not_images(folder: Path) -> None:
    from glide_eval.files import list_images
    from glide_eval.measure import not_images

    for file in not_images(list_images(folder)):
        click.echo(f"Not used: {file.item}: {file.reason}", err=True)


def _summary(reference: Reference) -> str:
    """A line a fact."""
    moments = reference.moments
    number = count(moments.n, "image") if reference.counted else "unknown"
    lines = [
        ("source", reference.source),
        ("images", number),
        ("parts", reference.missing_parts),
        ("left out", ", ".join(reference.left_out)),
        ("crop", reference.crop or "none"),
        ("captions", f"{len(reference.captions):,}" if reference.captions else ""),
        (
            "features",
            f"{len(moments.mean):,}, "
            + ("each image's kept" if reference.pool is not None else "mean and covariance only"),
        ),
        ("digest", reference.digest),
        ("extractor", f"{reference.extractor} {reference.fingerprint}"),
    ]
    return "\n".join(
        textwrap.fill(f"{key + ':':<11}{value}", 100, subsequent_indent=" " * 11)
        for key, value in lines
        if value
    )
