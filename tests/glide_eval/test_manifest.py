"""What is written into a run's tables is what is read from them, whatever captions say."""

from __future__ import annotations

import io
import math
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from glide_eval.files import Sample, read_csv, to_csv
from glide_eval.measure import MetricRow, tables_described

texts = st.text(max_size=60) | st.sampled_from(
    [
        "a cat\nand a dog",
        'a "red" cube, two',
        "🦊 im Schnee",
        "\u2028",
        "\x85",
        "NA",
        "007",
        "\r\n",
        "",
    ]
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
samples = st.builds(
    Sample,
    arm=texts,
    prompt_id=texts,
    caption=texts,
    replica=st.integers(0, 1000),
    seed=st.none() | st.integers(0, 2**63 - 1),
    path=texts,
    sha256=texts,
    seconds=numbers,
    candidate_scores=st.none() | st.lists(numbers, min_size=1, max_size=4).map(tuple),
)
plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
rows = st.builds(
    MetricRow,
    **dict.fromkeys(("arm", "extractor", "note", "method", "fingerprint", "reference"), plain),
    metric=plain,
    images=plain,
    value=numbers | st.just(math.nan),
)


@given(samples)
def test_a_sample_is_one_line_of_the_manifest_and_reads_as_it_was_written(sample):
    line = sample.to_json()
    assert "\n" not in line
    assert Sample.from_json(line) == sample


@given(st.lists(samples, max_size=4))
def test_a_manifest_splits_into_its_samples(written):
    content = "".join(sample.to_json() + "\n" for sample in written).encode("utf-8")
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")
    assert [Sample.from_json(line) for line in lines] == written


@given(st.lists(rows, max_size=3))
def test_metrics_read_as_they_were_written(written):
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(to_csv(MetricRow, written).encode("utf-8"))
        file.flush()
        read = read_csv(Path(file.name), MetricRow)
    assert to_csv(MetricRow, read) == to_csv(MetricRow, written)


def test_every_column_of_every_table_says_what_it_holds():
    tables = dict(tables_described())
    assert list(tables) == ["manifest.jsonl", "metrics.csv", "scores.csv", "differences.csv"]
    for columns in tables.values():
        assert all(what and "\n" not in what for _, _, what in columns)
    assert [name for name, _, _ in tables["metrics.csv"]][:7] == [
        "arm", "metric", "value", "ci_low", "ci_high", "n", "extractor",
    ]  # fmt: skip
