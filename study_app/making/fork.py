"""Refuse to serve a study whose file was edited, and begin another study from it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL

from study_app.errors import StudyUsageError
from study_app.rating import Study
from study_app.rules import StudyDesign, changed_keys, load_study_file

from .create import CreatedStudy, create_from_design, with_full_paths


def require_unedited(study: Study) -> None:
    """Make sure that the study file still says what the study does.

    Raises:
        StudyUsageError: it was edited since; the message names what changed.
    """
    source = study.info.source
    if source is None or not source.is_file():
        return
    changes = _changes(study, _design_of(source, study.info.design))
    if changes:
        raise StudyUsageError(
            f"{source} was edited after the study began: {'; '.join(changes[:5])}. A study never "
            "changes under its raters, so this one still has its first design. Undo the edit, or "
            f"begin a new study with it: `glide-eval study fork --db {study.database.shown_url} "
            f"--study {source} --out NEW.db`."
        )


def require_images(study: Study) -> None:
    """Make sure that a study's images are where it looks for them.

    Single images that are missing are met later, and their pairs set aside; none at all is a study
    that was created on another machine, or moved without them.

    Raises:
        StudyUsageError: it has images, and their folder isn't there.
    """
    folder = study.info.image_root
    if study.has_images and not folder.is_dir():
        raise StudyUsageError(
            f"The images of this study are not in {folder}. Copy the folder `study_images` of the "
            "machine on which it was created, and name it: `glide-eval study serve … --images "
            "FOLDER`."
        )


def fork_study(
    study: Study, url: URL, study_file: Path | None, *, password: str | None = None
) -> tuple[CreatedStudy, list[str]]:
    """Make a new study of another's design, or of an edited one.

    Args:
        study: the old one; it stays as it is, votes and all.
        url: of the new one; an empty database.
        study_file: the edited design; the same design without it.
        password: the new owner's; generated when None.

    Returns:
        What was made, and what differs from the old design.

    Raises:
        StudyUsageError, DatabaseError, RunError, ImageError, StorageError: as `create_study`.
    """
    old = study.info.design
    if study_file is None:
        design = old.model_copy(update={"name": study.info.name})
        source = None
    else:
        design, source = _design_of(study_file, old), study_file
    made = create_from_design(design, url, source=source, password=password)
    return made, _changes(study, design)


def _design_of(path: Path, old: StudyDesign) -> StudyDesign:
    """Read a study file's design, with the old runs if it names none."""
    design = with_full_paths(load_study_file(path).design, path.parent, None)
    return design if design.runs else design.model_copy(update={"runs": old.runs})


def _changes(study: Study, design: StudyDesign) -> list[str]:
    named = study.info.design.model_copy(update={"name": design.name})
    renamed = design.name is not None and design.name != study.info.name
    renames = [f"name: {study.info.name} → {design.name}"] if renamed else []
    return renames + changed_keys(named, design)
