"""What a report is made of, read from run folders and CSV files of votes."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glide_eval.extractors import difference_in_words
from glide_eval.files import Arm, RunFolder
from glide_eval.measure import known_facts

if TYPE_CHECKING:
    import pandas as pd

    from analysis.report import ReportInputs

ARM_COLUMNS = ("name", "strategy", "scale", "label")
CATEGORY_COLUMNS = ("prompt_id", "category")
TITLE = "Which guidance makes the better image?"


@dataclass(frozen=True)
class Source:
    """A run, a file of votes, or both.

    Attributes:
        run: None for votes alone.
        votes: None takes the run's own, if it has one.
        columns: our column → the votes' own, where they have another name.
        pairs: a table of the pairs that votes name by id alone.
    """

    run: RunFolder | None = None
    votes: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    pairs: Path | None = None

    @property
    def name(self) -> str:
        """Of the run; of the file where there is no run."""
        if self.run is not None:
            return self.run.root.resolve().name
        return self.votes.stem if self.votes else ""

    def votes_file(self) -> Path | None:
        """The votes to read; None where there are none yet."""
        own = self.run.votes_path if self.run else None
        return self.votes or (own if own is not None and own.is_file() else None)


def report_inputs(
    sources: list[Source],
    title: str | None,
    command: str,
    arms: Path | None = None,
    categories: Path | None = None,
) -> list[ReportInputs]:
    """Inputs of `analysis.report.write.write_report`, one a run and study.

    A file of votes of several studies gives one for each, since each study has rules of its own.

    Args:
        sources: at least one.
        title: the heading; None makes one.
        command: the command line that makes the report again.
        arms: a CSV that describes the arms of votes without a run.
        categories: a CSV (prompt_id, category) of prompts.

    Raises:
        RunError: a run's folder is damaged.
        analysis.AnalysisError: votes that can't be counted, or a damaged table.
    """
    import dataclasses

    found = [each for source in sources for each in _of_source(source, arms)]
    if categories is not None:
        told = _categories(categories)
        found = [dataclasses.replace(each, categories=told) for each in found]
    alone = sources[0].votes if sources[0].run is None else None
    heading = title or (f"Votes in {alone.name}" if alone else TITLE)
    if len(found) == 1:
        return [dataclasses.replace(found[0], title=heading, command=command, name="")]
    names = _told_apart([each.name for each in found], sources)
    heading = title or TITLE
    return [
        dataclasses.replace(each, title=heading, command=command, name=name)
        for each, name in zip(found, names, strict=True)
    ]


def _of_source(source: Source, arms_file: Path | None) -> list[ReportInputs]:
    from analysis.ballots import read_votes
    from analysis.report import METRIC_COLUMNS, ReportInputs

    run, path = source.run, source.votes_file()
    arms = _arms(source, arms_file)
    # Read here, so that messages name the file; the report then checks a checked table.
    named = None if arms is None else list(arms["name"])
    votes = None if path is None else read_votes(path, named, source.columns, source.pairs)
    if arms is None and votes is not None:
        arms = _arms_of_votes(votes, path)
    assert arms is not None  # a source has a run or votes
    metrics = None
    if run is not None and run.metrics_path.is_file():
        metrics = _read_whole_table(run.metrics_path, METRIC_COLUMNS)
    base = ReportInputs(
        title="",
        arms=arms,
        metrics=metrics,
        votes=votes,
        samples=None if run is None else _samples(run),
        root=Path() if run is None else run.root,
        provenance=_provenance(run, path, votes),
        name=source.name,
        scores=_scores(run),
        remarks=_remarks(run, metrics),
        images=None if source.votes is None else source.votes.parent,
    )
    return _by_study(base)


def _by_study(inputs: ReportInputs) -> list[ReportInputs]:
    """One a study where the votes are of several."""
    import dataclasses

    votes = inputs.votes
    if votes is None or "study" not in votes or votes["study"].nunique(dropna=False) < 2:
        return [inputs]
    named = votes["study"].astype(object).where(votes["study"].notna(), "no study named")
    return [
        dataclasses.replace(
            inputs, votes=of_one.reset_index(drop=True), name=f"{inputs.name}, {study}"
        )
        for study, of_one in votes.groupby(named, sort=False)
    ]


def _told_apart(names: list[str], sources: list[Source]) -> list[str]:
    """The names, those given twice with their file, or failing that with a number."""
    if len(names) == len(sources) and len(set(names)) < len(names):
        files = [source.votes_file() for source in sources]
        same_run = len({source.run.root if source.run else None for source in sources}) == 1
        if same_run and all(files):
            names = [file.stem for file in files if file]
        else:
            names = [
                f"{(s.run.root if s.run else Path(name)).resolve().parent.name}/{name}"
                for s, name in zip(sources, names, strict=True)
            ]
    seen: dict[str, int] = {}
    told = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        told.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return told


def _arms(source: Source, file: Path | None) -> pd.DataFrame | None:
    import pandas as pd

    if source.run is not None:
        return pd.DataFrame([_as_reported(arm) for arm in source.run.arms()])
    if file is None:
        return None
    needs = "Arms need name, strategy, scale, label; scale may be empty."
    return _read_columns(file, ARM_COLUMNS, needs)


def _categories(file: Path) -> dict[str, str]:
    """Prompt id → category."""
    from analysis.errors import ReportError

    needs = "Categories need prompt_id and category, one row per prompt."
    table = _read_columns(file, CATEGORY_COLUMNS, needs)
    told = table.dropna().astype(str).drop_duplicates()
    twice = told.loc[told["prompt_id"].duplicated(), "prompt_id"]
    if len(twice):
        raise ReportError(
            f"{file}: prompt {twice.iloc[0]} stands in several categories, expected one. Leave "
            "the others out."
        )
    return dict(zip(told["prompt_id"], told["category"], strict=True))


def _arms_of_votes(votes: pd.DataFrame, path: Path | None) -> pd.DataFrame:
    """Arms of which nothing is known but their names."""
    import pandas as pd

    from analysis.errors import ReportError

    names = list(votes["arm_left"].cat.categories)
    if not names:
        raise ReportError(
            f"{path}: found a header and no votes, so nothing says which arms there are. Wait for "
            "votes, or describe the arms with --arms."
        )
    return pd.DataFrame({"name": names, "strategy": "imported", "scale": None, "label": names})


def _as_reported(arm: Arm) -> dict[str, Any]:
    """An arm as the report takes it; one that was reranked or degraded is no point of its
    strategy's curve over scales, so it has no scale there. One of several values of an option is a
    point of a curve of its own, over that option.
    """
    altered = arm.reranked_by is not None or arm.degraded_by is not None
    told = {**arm.to_dict(), **({"scale": None} if altered else {})}
    if altered or arm.varied is None:
        return told
    from glide_eval.sweep import STRATEGIES

    at = "" if arm.scale is None else f" at s = {arm.scale:g}"
    words = arm.strategy.replace("_", " ")
    if arm.strategy in STRATEGIES:
        words = STRATEGIES[arm.strategy].words
    strategy = f"{words}{at}, by {arm.varied}"
    return {**told, "strategy": strategy, "scale": arm.varied_at, "axis": arm.varied}


def _samples(run: RunFolder) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        [
            (s.arm, s.prompt_id, s.caption, s.replica, s.seed, s.path, s.sha256)
            for s in run.samples()
        ],
        columns=["arm", "prompt_id", "caption", "replica", "seed", "path", "sha256"],
    )


def _scores(run: RunFolder | None) -> pd.DataFrame | None:
    """Metrics of single samples, where they were measured."""
    if run is None or not run.scores_path.is_file():
        return None
    from analysis.report import SCORE_COLUMNS

    scores = _read_whole_table(run.scores_path, SCORE_COLUMNS)
    return scores if len(scores) else None  # a header alone: no metric had a value for each image


def _read_columns(file: Path, columns: tuple[str, ...], needs: str) -> pd.DataFrame:
    """These columns of a CSV of a user's own; `needs` says what they hold where one is missing."""
    from analysis.errors import ReportError

    table = _read_table(file, ",".join(columns))
    missing = [name for name in columns if name not in table]
    if missing:
        raise ReportError(
            f"{file}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}. {needs}"
        )
    return table[list(columns)]


def _read_whole_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A run's table, all of whose columns are there."""
    from analysis.errors import ReportError

    table = _read_table(path)
    if missing := [name for name in columns if name not in table]:
        raise ReportError(
            f"{path}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}, expected the "
            f"table `glide-eval metrics` writes. Measure the run again: glide-eval metrics "
            f"{path.parent}."
        )
    return table


def _read_table(path: Path, made_by: str = "") -> pd.DataFrame:
    """A CSV whose names stay as written: an arm may be called NA or 007."""
    import pandas as pd

    from analysis.ballots import restored_column
    from analysis.errors import ReportError

    texts = ["arm", "metric", "prompt_id", "extractor", "note", "fingerprint", "reference", "name",
             "strategy", "label", "category"]  # fmt: skip
    try:
        table = pd.read_csv(
            path, dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=[""],
            encoding="utf-8-sig",
        )  # fmt: skip
        return table.assign(**{n: restored_column(table[n]) for n in texts if n in table})
    except (OSError, ValueError) as error:
        expected = f"a CSV with the columns {made_by}" if made_by else (
            "the table `glide-eval metrics` writes"
        )  # fmt: skip
        advice = "Correct it" if made_by else (
            f"Measure the run again: glide-eval metrics {path.parent}"
        )  # fmt: skip
        raise ReportError(
            f"{path}: expected {expected}, found something else ({' '.join(str(error).split())}). "
            f"{advice}."
        ) from error


def _remarks(run: RunFolder | None, metrics: pd.DataFrame | None) -> tuple[str, ...]:
    """What differs between versions of one extractor that measured this run."""
    if run is None or metrics is None or "fingerprint" not in metrics:
        return ()
    facts, remarks = known_facts(run), []
    for extractor, rows in metrics.dropna(subset=["fingerprint"]).groupby("extractor", sort=False):
        first, *others = dict.fromkeys(rows["fingerprint"])
        for other in others:
            why = difference_in_words(
                (str(extractor), facts.get(first, {})), (str(extractor), facts.get(other, {}))
            )
            remarks.append(
                f"Two versions of {extractor} measured this run, {first[:8]} and {other[:8]}: "
                f"{why}. Their values stand apart and no figure mixes them."
            )
    return tuple(remarks)


def _provenance(run: RunFolder | None, path: Path | None, votes: Any) -> dict[str, Any]:
    """`run.json` without the arms, which the report shows anyway; the votes; our versions."""
    values: dict[str, Any] = {}
    if run is not None:
        values = {key: value for key, value in run.provenance().items() if key != "arms"}
        values = {"run": run.root.resolve().name, **values}
    if path is not None:
        values["votes"] = {"file": path.name, "rows": f"{len(votes):,}", **_digest(path)}
    made_with = ("glide-eval", "numpy", "scipy", "pandas", "altair", "vl-convert-python")
    versions = {name: importlib.metadata.version(name) for name in made_with}
    return {**values, "report made with": versions}


def _digest(path: Path) -> dict[str, str]:
    """What identifies a file; a folder of an annotation tool's files has no digest."""
    if path.is_dir():
        return {}
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}
