"""Sending a run to a URL and fetching it: what is there already is not moved again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tarfile
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from glide_eval.errors import DownloadError, RunError
from glide_eval.files.locks import held, is_held
from glide_eval.files.reading import file_sha256
from glide_eval.files.records import Sample
from glide_eval.files.run_store import RunFolder, replacing, write_bytes

from .far_end import FarEnd
from .listing import FILES, LISTING, Listed, Listing, list_run
from .packs import PACKINGS, Packing, parts

_PACK = ".pack"  # in the folder of a pull, while one is unpacked
UNFINISHED = "unfinished.json"  # the listing of a push that has not ended
_Step = Callable[[str], object]


@dataclass
class Moved:
    """How many files, and bytes, were moved, and how many were there already."""

    files: int = 0
    size: int = 0
    there: int = 0


def push(
    run: RunFolder,
    far: FarEnd,
    rater_ids: bool = False,
    images: str = FILES,
    step: _Step = str,
) -> Moved:
    """Send a finished run to a URL. `files.json` comes last and makes the push whole.

    Args:
        run: see `list_run`.
        far: an empty place, or one that holds this run, whole or half.
        rater_ids: see `list_run`.
        images: see `Listing`.
        step: called with the path of each file after it was sent.

    Raises:
        RunError: see `list_run`; the run is being written to, or the place holds something else.
        StorageError: the far end refuses.
    """
    with _nobody_writing(run.root):
        return _push(run, far, list_run(run, rater_ids, images), step)


def _push(run: RunFolder, far: FarEnd, listing: Listing, step: _Step) -> Moved:
    sizes = far.sizes()
    before = _published(far, sizes, run.root)
    if before is None and sizes:
        raise RunError(
            f"{far.name} holds {len(sizes):,} files that are no published run: expected an empty "
            "place, or this run. Nothing was written. Choose another URL."
        )
    if before is not None and before.run != listing.run:
        raise RunError(
            f"{far.name} holds another run (its manifest's sha256 starts with {before.run[:12]}, "
            f"this one's with {listing.run[:12]}). Nothing was written. Choose another URL."
        )
    _announce(far, sizes, before, listing)
    moved = Moved()
    for file in listing.files:
        if sizes.get(file.path) == file.size:
            moved.there += 1
            continue
        if file.path in listing.made:
            far.write(file.path, listing.made[file.path])
        elif file.path in listing.packed:
            with tempfile.NamedTemporaryFile() as pack:
                packing = PACKINGS[listing.images]
                packing.write(cast("BinaryIO", pack), run.root, listing.packed[file.path])
                pack.flush()
                far.send(file.path, Path(pack.name))
        else:
            far.send(file.path, run.root / file.path)
        moved.files, moved.size = moved.files + 1, moved.size + file.size
        step(file.path)
    far.write(LISTING, listing.to_json().encode())
    far.remove(UNFINISHED)
    return moved


@contextlib.contextmanager
def _nobody_writing(root: Path) -> Generator[None]:
    """Keep sweeps away until the block ends; where nothing can be written, none can come."""

    def busy(who: str) -> RunError:
        return RunError(
            f"{root} is being written by {who}: expected a finished run. Wait for it to end, then "
            "push again."
        )

    # A lone sweep's lock, and those of an array's tasks: `.lock.I-of-N`.
    holders = [is_held(lock) for lock in (root / ".lock", *root.glob(".lock.*-of-*"))]
    if holder := next(filter(None, holders), ""):
        raise busy(holder)
    if not os.access(root, os.W_OK):
        yield
        return
    with held(root / ".lock", busy):
        yield


def _announce(far: FarEnd, sizes: dict[str, int], before: Listing | None, now: Listing) -> None:
    """Say what is being sent, so that a later push knows each whole file there by its size.

    Files of an earlier push that are others now go first: they may have the same size.
    """
    same = {(file.path, file.sha256) for file in now.files}
    for file in [] if before is None else before.files:
        if (file.path, file.sha256) not in same and sizes.pop(file.path, None) is not None:
            far.remove(file.path)
    far.write(UNFINISHED, now.to_json().encode())
    if LISTING in sizes:
        far.remove(LISTING)


def pull(far: FarEnd, folder: Path, step: _Step = str) -> Moved:
    """Fetch a published run into a folder; each file is checked before it gets its name.

    Raises:
        RunError: nothing, something else or half a run is at the URL; or the folder holds another
            run, or anything else.
        DownloadError: a file is missing there, or is not the one that was published.
        StorageError: the disk is full.
    """
    sizes = far.sizes()
    listing = _published(far, sizes, folder)
    if listing is None:
        raise RunError(
            f"{far.name} is no published run: expected a {LISTING} there, which `glide-eval push` "
            f"writes, found {len(sizes):,} other files. Check the URL."
        )
    if LISTING not in sizes:
        raise RunError(
            f"{far.name} holds an unfinished push: expected a {LISTING} there. Whoever pushes the "
            "run has to run `glide-eval push` again with the same URL, which sends what is missing."
        )
    _require_ours(folder, listing)
    write_bytes(folder / LISTING, listing.to_json().encode())
    moved = Moved()
    packing = PACKINGS.get(listing.images)
    places = {} if packing is None else {packing.place(n): n for n in range(len(listing.files))}
    packed: list[Sequence[Sample]] = []  # known once the manifest is here
    # Packs hold what the manifest lists; run.json makes a folder a run, so it comes last.
    for file in sorted(listing.files, key=lambda f: (f.path == "run.json", f.path in places)):
        if packing is not None and file.path in places:
            packed = packed or list(parts(RunFolder(folder).samples(), listing.each))
            number = places[file.path]
            part = packed[number] if number < len(packed) else ()
            there = all(_whole(folder / sample.path, sample.sha256) for sample in part)
            if not there:
                _unpack(far, file, packing, folder, part)
        elif not (there := _whole(folder / file.path, file.sha256)):
            with replacing(folder / file.path) as temporary:
                _fetch(far, file, temporary)
        if there:
            moved.there += 1
            continue
        moved.files, moved.size = moved.files + 1, moved.size + file.size
        step(file.path)
    return moved


def _whole(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


def _unpack(
    far: FarEnd, file: Listed, packing: Packing, folder: Path, part: Sequence[Sample]
) -> None:
    """Fetch a pack, and write the images in it that the manifest lists."""
    wanted = {sample.path: sample for sample in part}
    pack = folder / _PACK
    with replacing(pack, durable=False) as temporary:
        _fetch(far, file, temporary)
    try:
        for path, content in packing.read(pack):
            sample = wanted.pop(path, None)
            if sample is None or hashlib.sha256(content).hexdigest() != sample.sha256:
                raise _foreign(far, f"{path} in {file.path}", "the image that the manifest lists")
            write_bytes(folder / path, content)
    except (tarfile.TarError, ValueError) as error:
        raise _foreign(far, file.path, f"a whole pack ({error})") from error
    finally:
        pack.unlink(missing_ok=True)
    if wanted:
        raise _foreign(far, file.path, f"a pack with {next(iter(wanted))}")


def _foreign(far: FarEnd, what: str, expected: str) -> DownloadError:
    return DownloadError(
        f"{what} at {far.name} is not {expected}. Push the run again into an empty place; files "
        "fetched before this one are kept."
    )


def _published(far: FarEnd, sizes: dict[str, int], folder: Path) -> Listing | None:
    """Return the listing at the far end, of a push that ended or did not; None without one.

    While a later push of the same run is under way, its own listing says what is being sent.
    """
    for name in (LISTING, UNFINISHED):
        if name in sizes:
            where = f"{far.name.rstrip('/')}/{name}"
            text = far.read(name).decode("utf-8", errors="replace")
            return Listing.from_json(text, where, folder)
    return None


def _fetch(far: FarEnd, file: Listed, into: Path) -> None:
    digest = far.fetch(file.path, into)
    if digest != file.sha256:
        raise DownloadError(
            f"{file.path} at {far.name} is not the file that was published: expected sha256 "
            f"{file.sha256[:12]}…, found {digest[:12]}…. It was changed after the push, or is cut "
            "short. Push the run again into an empty place; files fetched before this one are kept."
        )


def _require_ours(folder: Path, listing: Listing) -> None:
    """Raise unless the folder is empty or holds this run, whole or half."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    known = folder / LISTING
    if known.is_file():
        text = known.read_text(encoding="utf-8", errors="replace")
        if Listing.from_json(text, str(known), folder).run == listing.run:
            return
    raise RunError(
        f"{folder} is not empty and does not hold this run: expected an empty folder, or a pull of "
        "the same run to resume. Nothing was written. Name another folder."
    )
