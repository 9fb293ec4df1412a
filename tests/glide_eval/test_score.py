from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from glide_eval.errors import FeatureError, ImageError, RunError, UsageError
from glide_eval.extractors import Extractor, FakeExtractor, Features
from glide_eval.files import RunFolder, read_csv, read_file, run_store, to_csv
from glide_eval.measure import measure, read_rows
from glide_eval.measure.tables import MetricRow
from glide_eval.metrics import Moments
from glide_eval.metrics.fid import frechet_distance
from glide_eval.references import Reference
from glide_eval.references.build import build_reference
from tests.fakes import ARMS, make_fake_run

PROMPTS = 6


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_fake_run(tmp_path_factory.mktemp("template") / "run", PROMPTS, size=16).root


@pytest.fixture
def run(template, tmp_path) -> RunFolder:
    shutil.copytree(template, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    run.metrics_path.unlink()
    run.scores_path.unlink()
    return run


def table_of(*arguments, **options) -> pd.DataFrame:
    return pd.DataFrame(measure(*arguments, **options))


def reference(extractor: Extractor) -> Reference:
    images = np.random.default_rng(5).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    return build_reference(extractor, images, "40 noise images")


class Counting(FakeExtractor):
    """A fake that knows how many images it was shown."""

    def __init__(self, version: int = 1, name: str = "fake"):
        super().__init__(version)
        self.name = name
        self.seen = 0

    def embed(self, prepared, captions=None) -> Features:
        self.seen += len(prepared)
        return super().embed(prepared, captions)


def rewrite_manifest(run: RunFolder, change) -> None:
    samples = [change(s) for s in run.samples()]
    run.manifest_path.write_text("".join(s.to_json() + "\n" for s in samples if s), "utf-8")


def test_every_arm_gets_every_metric_with_n_and_an_interval(run):
    table = table_of(run, [FakeExtractor()], reference=reference)
    assert list(dict.fromkeys(table["arm"])) == [arm.name for arm in ARMS]
    of_one = table[table["arm"] == "cfg-3"].set_index("metric")
    assert list(of_one.index) == [
        "fid", "fid_infinity", "kid", "inception_score", "precision", "recall", "density",
        "coverage", "vendi", "clip_score", "guiding_clip_score", "r_precision",
        "caption_accuracy", "object_accuracy", "color_accuracy", "count_accuracy",
        "relation_accuracy",
    ]  # fmt: skip
    assert "needs 100 different captions" in of_one.loc["r_precision", "note"]
    assert "every prompt contributes the same" in of_one.loc["density", "note"]  # in no ball at all
    assert "half of the prompts of 6 images are too few" in of_one.loc["recall", "note"]
    of_one = of_one.drop(["r_precision", "density", "recall"])
    assert (of_one["n"] == PROMPTS).all()
    assert (of_one["ci_low"] < of_one["ci_high"]).all()
    assert ((of_one["ci_low"] <= of_one["value"]) & (of_one["value"] <= of_one["ci_high"])).all()
    assert (of_one["method"] != "").all()
    assert of_one.loc["fid", "reference"].startswith("40 noise images (")
    assert of_one.loc["clip_score", "reference"] == ""
    assert "biased upwards" in of_one.loc["fid", "note"]


def test_the_files_say_what_measure_returns(run):
    table = table_of(run, [FakeExtractor()], reference=reference)
    csv = pd.read_csv(run.metrics_path).fillna({"note": "", "reference": "", "method": ""})
    assert list(csv.columns[:8]) == [
        "arm", "metric", "value", "ci_low", "ci_high", "n", "extractor", "note",
    ]  # fmt: skip
    pd.testing.assert_frame_equal(csv, table, check_dtype=False)
    parquet = pd.read_parquet(run.metrics_path.with_suffix(".parquet"))
    pd.testing.assert_frame_equal(parquet, table, check_dtype=False)


def test_scores_average_to_the_arms_value(run):
    table = table_of(run, [FakeExtractor()], reference=reference)
    scores = pd.read_csv(run.scores_path)
    assert list(scores.columns[:5]) == ["arm", "prompt_id", "replica", "metric", "value"]
    means = scores.groupby(["arm", "metric"])["value"].mean()
    for metric in ("clip_score", "guiding_clip_score", "caption_accuracy", "relation_accuracy"):
        values = table[table["metric"] == metric].set_index("arm")["value"]
        np.testing.assert_allclose(means.xs(metric, level="metric")[values.index], values)
    quality = scores[scores["metric"] == "image_quality"]["value"]
    assert len(quality) == len(ARMS) * PROMPTS
    assert quality.between(0, 1).all()


def test_fid_in_the_table_is_the_distance_of_the_arms_own_images(run):
    table = table_of(run, [FakeExtractor()], ["fid"], reference)
    paths = [run.root / s.path for s in run.samples() if s.arm == "clip-3"]
    images = [np.asarray(Image.open(path)) for path in paths]
    fake = FakeExtractor()
    wanted = frechet_distance(Moments.of(fake.extract(images).pool), reference(fake).moments)
    assert table.set_index("arm").loc["clip-3", "value"] == pytest.approx(wanted, rel=1e-5)


def test_a_second_pass_takes_features_from_the_cache_and_writes_the_same_bytes(run):
    measure(run, [Counting()], reference=reference)
    first = run.metrics_path.read_bytes(), run.scores_path.read_bytes()
    again = Counting()
    measure(run, [again], reference=reference)
    assert again.seen == 40  # the reference alone
    assert (run.metrics_path.read_bytes(), run.scores_path.read_bytes()) == first


def test_a_changed_extractor_or_caption_or_a_damaged_cache_is_measured_anew(run):
    measure(run, [Counting()], ["clip_score"])
    newer = Counting(version=2)
    measure(run, [newer], ["clip_score"])
    assert newer.seen == len(ARMS) * PROMPTS

    for path in (run.features_dir / "fake" / "cfg-3").iterdir():
        path.write_bytes(b"PK\x03\x04 cut short")
    repaired = Counting(version=2)
    measure(run, [repaired], ["clip_score"])
    assert repaired.seen == PROMPTS

    def recaption(s):
        return dataclasses.replace(s, caption="a cone") if s.key == ("clip-1", "p0000", 0) else s

    rewrite_manifest(run, recaption)
    recaptioned = Counting(version=2)
    measure(run, [recaptioned], ["clip_score"])
    assert recaptioned.seen == 1


def test_one_look_at_the_images_feeds_several_extractors(run, monkeypatch):
    reads = []
    monkeypatch.setattr(run_store, "read_file", lambda path: reads.append(path) or read_file(path))
    table = table_of(run, [Counting(), Counting(name="other")], ["clip_score"])
    assert len(reads) == len(set(reads)) == len(ARMS) * PROMPTS
    assert set(table["extractor"]) == {"fake", "other"}


def test_measuring_more_keeps_what_was_measured_of_the_same_images(run):
    measure(run, [FakeExtractor()], ["clip_score", "caption_accuracy"])
    table = table_of(run, [Counting(name="other")], ["fid"], reference)
    assert set(table["metric"]) == {"clip_score", "caption_accuracy", "fid"}
    scores = pd.read_csv(run.scores_path)
    assert set(scores["metric"]) == {"clip_score", "caption_accuracy"}


def test_rows_of_other_images_are_dropped_and_those_of_a_changed_extractor_keep_its_mark(run):
    measure(run, [FakeExtractor()], ["clip_score", "caption_accuracy"])
    rewrite_manifest(run, lambda s: None if s.arm == "cfg-3" and s.prompt_id == "p0001" else s)
    table = table_of(run, [Counting(name="other")], ["inception_score"])
    assert set(table[table["arm"] == "cfg-3"]["metric"]) == {"inception_score"}
    assert set(table[table["arm"] == "clip-3"]["metric"]) == {
        "clip_score", "caption_accuracy", "inception_score",
    }  # fmt: skip
    table = table_of(run, [FakeExtractor(version=2)], ["clip_score"])
    old, new = FakeExtractor().fingerprint, FakeExtractor(version=2).fingerprint
    assert set(table[table["metric"] == "clip_score"]["fingerprint"]) == {new}
    assert set(table[table["metric"] == "caption_accuracy"]["fingerprint"]) == {old}
    facts = json.loads((run.root / "extractors.json").read_text())
    assert facts[old]["version"] == "1"
    assert facts[new]["version"] == "2"


def test_metrics_csv_of_another_origin_is_replaced(template, tmp_path):
    shutil.copytree(template, tmp_path / "run")
    run = RunFolder(tmp_path / "run")  # its metrics.csv lacks our columns
    table = table_of(run, [FakeExtractor()], ["clip_score"])
    assert set(table["extractor"]) == {"fake"}


def test_an_imported_arm_of_another_size_is_measured_like_the_others(run):
    provenance = run.provenance()
    provenance["arms"].append(
        {"name": "photos", "strategy": "imported", "scale": None, "label": "Photos"}
    )
    run.provenance_path.write_text(json.dumps(provenance))
    lines = run.manifest_path.read_text().splitlines()
    for sample in [s for s in run.samples() if s.arm == "cfg-3"]:
        path = run.sample_path("photos", sample.prompt_id, 0)
        path.parent.mkdir(exist_ok=True)
        with Image.open(run.root / sample.path) as image:
            image.resize((24, 20)).save(path)
        imported = dataclasses.replace(
            sample, arm="photos", seed=None, path=path.relative_to(run.root).as_posix(),
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )  # fmt: skip
        lines.append(imported.to_json())
    run.manifest_path.write_text("\n".join(lines) + "\n")
    table = table_of(run, [FakeExtractor()], ["fid", "clip_score"], reference)
    photos = table[table["arm"] == "photos"]
    assert photos["value"].notna().all()
    assert (photos["n"] == PROMPTS).all()


def first_path(run: RunFolder, arm: str):
    return run.sample_path(arm, "p0002", 0)


def test_a_missing_sample_is_named_before_any_image_is_read(run):
    first_path(run, "clip-3").unlink()
    extractor = Counting()
    lacking = r"lacks images.*clip-3/p0002-0\.png\. Run the sweep again"
    with pytest.raises(ImageError, match=lacking):
        measure(run, [extractor], ["clip_score"])
    assert extractor.seen == 0


def test_a_truncated_sample_is_named_and_earlier_tables_survive(run):
    measure(run, [FakeExtractor()], ["clip_score"])
    before = run.metrics_path.read_bytes()
    path = first_path(run, "clip-3")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ImageError, match=r"clip-3/p0002-0\.png is truncated"):
        measure(run, [FakeExtractor(version=2)], ["clip_score"])
    assert run.metrics_path.read_bytes() == before


def test_a_table_whose_quotes_do_not_close_is_refused_by_its_line(run):
    measure(run, [FakeExtractor()], ["clip_score"])
    lines = run.metrics_path.read_text("utf-8").splitlines()
    lines[2] = '"' + lines[2].replace(",", '"x,', 1)  # text after a closing quote
    run.metrics_path.write_text("\n".join(lines), "utf-8")
    with pytest.raises(
        RunError, match=r"line 3 is no row of the columns arm, metric, value, ci_low"
    ):
        read_rows(run)


def test_an_image_exchanged_after_the_sweep_is_refused(run):
    path = first_path(run, "cfg-3")
    shutil.copy(first_path(run, "clip-3"), path)
    with pytest.raises(RunError, match=r"cfg-3/p0002-0\.png is not the image that the manifest"):
        measure(run, [FakeExtractor()], ["clip_score"])


def test_an_arm_of_mixed_sizes_is_refused(run):
    path = first_path(run, "cfg-3")
    with Image.open(path) as image:
        image.resize((20, 16)).save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    rewrite_manifest(
        run,
        lambda s: dataclasses.replace(s, sha256=digest) if s.key == ("cfg-3", "p0002", 0) else s,
    )
    with pytest.raises(ImageError, match=r"'cfg-3' mixes sizes: .*16 × 16 pixels, .*20 × 16"):
        measure(run, [FakeExtractor()], ["clip_score"])


def test_an_arm_without_samples_and_an_unknown_arm_are_errors(run):
    samples = run.samples()
    rewrite_manifest(run, lambda s: None if s.arm == "clip-3" else s)
    with pytest.raises(RunError, match="no sample of arm 'clip-3'"):
        measure(run, [FakeExtractor()])
    lines = [s.to_json() for s in samples]
    lines.append(dataclasses.replace(samples[0], arm="stranger").to_json())
    run.manifest_path.write_text("\n".join(lines))
    with pytest.raises(RunError, match="lists arm 'stranger'"):
        measure(run, [FakeExtractor()])


def test_unknown_metrics_and_those_an_extractor_lacks_are_wrong_usage(run):
    with pytest.raises(UsageError, match="No metric is named 'psnr'; there are fid,"):
        measure(run, [FakeExtractor()], ["psnr"])
    poor = FakeExtractor()
    poor.provides = frozenset({"fid"})
    with pytest.raises(UsageError, match="fake can't give clip_score: it has no clip"):
        measure(run, [poor], ["clip_score"])
    table = table_of(run, [poor], reference=reference)
    assert set(table["metric"]) == {"fid", "fid_infinity"}


def test_nan_features_are_refused_by_name_and_not_cached(run):
    class Broken(FakeExtractor):
        def embed(self, prepared, captions=None):
            features = super().embed(prepared, captions)
            features.pool[2, 0] = np.nan
            return features

    with pytest.raises(
        FeatureError,
        match=r"fake gives NaN or infinite pool for 1 of 6 .*unguided/p0002-0\.png: expected",
    ):
        measure(run, [Broken()], ["fid"], lambda _: reference(FakeExtractor()))
    assert not list(run.features_dir.rglob("*.npz"))


def test_a_reference_of_another_dimension_is_refused_with_the_arms_name(run):
    def foreign(extractor: Extractor) -> Reference:
        return Reference(np.eye(7, dtype=np.float32), extractor.name, extractor.fingerprint, "toy")

    with pytest.raises(FeatureError, match="fake, arm unguided: Features of 24 dimensions"):
        measure(run, [FakeExtractor()], ["fid"], foreign)


def test_a_reference_too_small_for_neighbours_leaves_precision_undefined_with_a_reason(run):
    def tiny(extractor: Extractor) -> Reference:
        whole = reference(extractor)
        return dataclasses.replace(whole, pool=whole.pool[:3], known_moments=None)

    table = table_of(run, [FakeExtractor()], ["fid", "precision", "recall", "image_quality"], tiny)
    row = table[(table["arm"] == "cfg-3") & (table["metric"] == "precision")].iloc[0]
    assert np.isnan(row["value"])
    assert "reference has 3 images" in row["note"]
    assert table[table["metric"] == "fid"]["value"].notna().all()
    assert len(pd.read_csv(run.scores_path)) == 0


def test_each_arm_is_compared_with_the_unguided_one_on_equal_prompts(run):
    table = table_of(run, [FakeExtractor()], ["fid", "clip_score"], reference)
    values = table.set_index(["arm", "metric"])["value"]
    gaps = pd.read_csv(run.root / "differences.csv")
    assert set(gaps["arm"]) == {arm.name for arm in ARMS} - {"unguided"}
    assert set(gaps["baseline"]) == {"unguided"}
    assert (gaps["n"] == PROMPTS).all()
    for _, gap in gaps.iterrows():
        wanted = values[gap["arm"], gap["metric"]] - values["unguided", gap["metric"]]
        assert gap["difference"] == pytest.approx(wanted)
        assert gap["ci_low"] < gap["difference"] < gap["ci_high"]


def test_the_interval_of_a_difference_of_means_is_the_paired_t_interval(run):
    measure(run, [FakeExtractor()], ["clip_score"])
    scores = pd.read_csv(run.scores_path).pivot(index="prompt_id", columns="arm", values="value")
    gaps = pd.read_csv(run.root / "differences.csv").set_index("arm")
    wanted = stats.ttest_rel(scores["cfg-3"], scores["unguided"]).confidence_interval()
    assert gaps.loc["cfg-3", ["ci_low", "ci_high"]].tolist() == pytest.approx(list(wanted))


def test_the_baseline_and_further_pairs_can_be_named(run):
    measure(run, [FakeExtractor()], ["clip_score"], baseline="cfg-3", pairs=[("clip-1", "clip-3")])
    gaps = pd.read_csv(run.root / "differences.csv")
    assert {*zip(gaps["arm"], gaps["baseline"], strict=True)} == {
        *((arm.name, "cfg-3") for arm in ARMS if arm.name != "cfg-3"), ("clip-1", "clip-3"),
    }  # fmt: skip
    for mistake in ({"baseline": "none"}, {"pairs": [("cfg-3", "none")]}):
        with pytest.raises(UsageError, match="No arm is named 'none'; there are unguided,"):
            measure(run, [FakeExtractor()], ["clip_score"], **mistake)
    with pytest.raises(UsageError, match="does not differ from itself"):
        measure(run, [FakeExtractor()], ["clip_score"], pairs=[("cfg-3", "cfg-3")])


def test_differences_stay_and_go_with_the_values_they_are_of(run):
    measure(run, [FakeExtractor()], ["clip_score"])
    measure(run, [FakeExtractor()], ["inception_score"])
    gaps = pd.read_csv(run.root / "differences.csv")
    assert set(gaps["metric"]) == {"clip_score", "inception_score"}
    rewrite_manifest(run, lambda s: None if s.arm == "cfg-3" and s.prompt_id == "p0001" else s)
    measure(run, [FakeExtractor()], ["inception_score"])
    gaps = pd.read_csv(run.root / "differences.csv").groupby("arm")["metric"].agg(set)
    assert gaps["cfg-3"] == {"inception_score"}
    assert gaps["clip-3"] == {"clip_score", "inception_score"}


TABLES = ("metrics.csv", "scores.csv", "differences.csv")


@pytest.mark.parametrize("saved", ["mark", "semicolons", "order"])
def test_tables_that_a_spreadsheet_saved_keep_their_rows(run, saved):
    measure(run, [FakeExtractor()], ["clip_score"])
    for name in TABLES:
        path = run.root / name
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        if saved == "order":
            table = table[table.columns[::-1]]
        text = table.to_csv(index=False, sep=";" if saved == "semicolons" else ",")
        path.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    before = {row.metric for row in read_rows(run)}
    rows = measure(run, [FakeExtractor()], ["inception_score"])
    assert before == {"clip_score"}
    assert {row.metric for row in rows} == {"clip_score", "inception_score"}
    assert set(pd.read_csv(run.scores_path)["metric"]) == {"clip_score"}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("damage", ["number", "fields", "bytes"])
def test_a_damaged_table_is_refused_before_any_image_is_read_and_stays(run, name, damage):
    measure(run, [FakeExtractor()], ["clip_score"])
    path = run.root / name
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = {
        "number": lines[2].replace(b"clip_score,", b"clip_score,x", 1),
        "fields": b"a,b\n",
        "bytes": b"\xff\xfe\n",
    }[damage]
    path.write_bytes(b"".join(lines))
    extractor = Counting(name="other")
    with pytest.raises(RunError, match=rf"{re.escape(name)}: .*Nothing was changed"):
        measure(run, [extractor], ["clip_score"])
    assert extractor.seen == 0
    assert path.read_bytes() == b"".join(lines)


def test_a_table_of_other_columns_is_kept_under_another_name(template, tmp_path):
    shutil.copytree(template, tmp_path / "run")
    run = RunFolder(tmp_path / "run")  # its metrics.csv lacks our columns
    before = run.metrics_path.read_bytes()
    measure(run, [FakeExtractor()], ["clip_score"])
    assert run.metrics_path.with_name("metrics.csv.old").read_bytes() == before


def test_an_image_exchanged_after_its_features_were_kept_is_refused(run):
    measure(run, [FakeExtractor()], ["clip_score"])
    path = first_path(run, "cfg-3")
    shutil.copy(first_path(run, "clip-3"), path)
    with pytest.raises(RunError, match=r"cfg-3/p0002-0\.png is not the image that the manifest"):
        measure(run, [FakeExtractor()], ["inception_score"])


def test_names_that_spreadsheets_compute_are_escaped_and_restored(tmp_path):
    row = MetricRow("=1+1", "fid", -1.5, 0.0, 1.0, 5, "@x", "-", 0.95, "", "", "+r", "")
    text = to_csv(MetricRow, [row])
    assert text.splitlines()[1].startswith("'=1+1,fid,-1.5,")
    (tmp_path / "m.csv").write_text(text)
    assert read_csv(tmp_path / "m.csv", MetricRow) == [row]
