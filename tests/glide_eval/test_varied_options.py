"""`vary`: an arm for each value of an option, drawn over that option in the report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from analysis.report.figures.elo import elo_by_scale
from analysis.scores import with_series
from glide_eval.cli.report_inputs import _as_reported
from glide_eval.errors import ConfigError
from glide_eval.files import RunFolder
from glide_eval.sweep import load_sweep, run_sweep
from tests.glide_eval.sweeps import manifest_of, write_sweep

VARIED = """
[[arms]]
strategy = "unguided"

[[arms]]
strategy = "classifier_free"
scales = [2, 4]

[[arms]]
strategy = "classifier_free"
scales = [3]
vary = { option = "rescale", values = [0, 0.5, 0.7] }

[[arms]]
strategy = "clip"
scales = [0.5, 2]
"""


def sweep(folder: Path) -> RunFolder:
    config = load_sweep(write_sweep(folder, arms=VARIED))
    return run_sweep(config, folder / "run", say=lambda _: None).run


def test_each_value_is_an_arm_whose_name_record_and_identity_tell_it(tmp_path):
    run = sweep(tmp_path)
    arms = {arm.name: arm for arm in run.arms()}
    names = ["cfg-3-rescale0", "cfg-3-rescale0.5", "cfg-3-rescale0.7"]
    assert [name for name in arms if "rescale" in name] == names
    assert {row["arm"] for row in manifest_of(run.root)} == arms.keys()
    varied = arms["cfg-3-rescale0.5"]
    assert (varied.scale, varied.varied, varied.varied_at) == (3, "rescale", 0.5)
    assert varied.label == "Classifier-free, s = 3, rescale = 0.5"
    identity = run.provenance()["identity"]
    assert identity["arms.cfg-3-rescale0.5.rescale"] == 0.5
    assert "arms.cfg-3-rescale0.rescale" not in identity  # its default
    assert [arms[n].unguided_at for n in ("unguided", "cfg-2", "clip-0.5")] == [None, 1.0, 0.0]


def test_the_report_never_mixes_an_option_with_the_scale_on_one_axis(tmp_path):
    arms = with_series(pd.DataFrame([_as_reported(arm) for arm in sweep(tmp_path).arms()]))
    elo = arms.rename(columns={"name": "arm"}).assign(
        question="photorealism", rater_kind="person", anchor="", elo=range(len(arms))
    )
    figure = elo_by_scale(elo.assign(low=elo["elo"] - 1, high=elo["elo"] + 1))
    assert figure is not None
    scale, rescale = (json.dumps(panel.chart.to_dict()) for panel in figure.panels)
    titles = [
        set(re.findall(r'"title": "(guidance[^"]*|rescale)"', text)) for text in (scale, rescale)
    ]
    assert titles[0] == {
        "guidance scale (no guidance at 1 for classifier-free guidance; at 0 for CLIP guidance)"
    }
    assert titles[1] == {"rescale"}
    assert "cfg-3-rescale" not in scale
    assert "cfg-2" not in rescale
    assert "cfg-3-rescale0.7" in rescale
    assert "by rescale" in figure.panels[1].title


@pytest.mark.parametrize(
    ("vary", "told"),
    [
        ('option = "rescal", values = [0.5]', "did you mean 'rescale'"),
        ('option = "rescale", values = [0.5, 2]', "found 2 among the values that `vary` gives"),
        ('option = "scales", values = [2]', "expected a numeric option of this arm"),
        ('option = "sampler", values = [2]', "found 2 among the values"),
        ('option = "rescale", values = [0.5, 0.5]', "two arms named `cfg-3-rescale0.5`"),
    ],
)
def test_what_cannot_vary_is_refused(tmp_path, vary, told):
    arm = f'[[arms]]\nstrategy = "classifier_free"\nscales = [3]\nvary = {{ {vary} }}\n'
    with pytest.raises(ConfigError, match=re.escape(told)):
        load_sweep(write_sweep(tmp_path, arms=arm))
