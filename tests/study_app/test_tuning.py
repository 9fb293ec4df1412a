from __future__ import annotations

import gc
import resource

import pytest
from streamlit import config
from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session

from study_app.serving import tuning

THEME = {"theme.font": "Inter, serif", "theme.dark.primaryColor": "#1a7c81"}


@pytest.fixture
def tuned(monkeypatch):
    """This process is tuned for as long as a test lasts; how Streamlit does it by itself."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    stock = app_session._populate_theme_msg
    monkeypatch.setattr(app_session, "_populate_theme_msg", stock)
    before = {key: config.get_option(key) for key in THEME}
    for key, value in THEME.items():
        config.set_option(key, value)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, limits[1]), limits[1]))
    tuning.tune()
    yield stock
    for key, value in before.items():
        config.set_option(key, value)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def theme(populate) -> bytes:
    """All of a theme, as a new session hears of it."""
    message = CustomThemeConfig()
    populate(message)
    populate(message.light, "theme.light")
    populate(message.dark, "theme.dark")
    populate(message.sidebar, "theme.sidebar")
    return message.SerializeToString(deterministic=True)


def test_each_window_hears_of_the_theme_that_streamlit_would_tell(tuned):
    told = [theme(app_session._populate_theme_msg) for _ in range(3)]
    assert told == [theme(tuned)] * 3
    assert b"#1a7c81" in told[0]


def test_a_theme_without_options_is_still_none(tuned):
    message = CustomThemeConfig()
    app_session._populate_theme_msg(message.sidebar, "theme.sidebar")
    assert not message.HasField("sidebar")


def test_a_window_may_open_as_many_connections_as_the_system_allows(tuned):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard


def test_a_streamlit_that_names_things_otherwise_keeps_its_own_and_the_rest_is_tuned(
    tuned, monkeypatch
):
    """Another version may have renamed what is made cheaper; nothing else may suffer from that."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    monkeypatch.delattr(app_session, "_populate_theme_msg")
    monkeypatch.setattr(app_session, "_theme_message", tuned, raising=False)
    tuning.tune()
    assert app_session._theme_message is tuned
    assert not hasattr(app_session, "_populate_theme_msg"), "nothing is put where nothing was"
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_what_stays_is_left_out_of_collections_once_a_page():
    thresholds = gc.get_threshold()
    try:
        tuning.settle("a page of this test")
        frozen = gc.get_freeze_count()
        kept = [[] for _ in range(1000)]
        tuning.settle("a page of this test")
        assert frozen > len(kept)
        assert gc.get_freeze_count() <= frozen
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def test_what_survives_is_walked_in_parts_and_never_all_at_one_stroke():
    thresholds = gc.get_threshold()
    walked = []

    def count(phase, info):
        if phase == "start" and info["generation"] > 0:
            ages = range(info["generation"] + 1)
            walked.append(sum(len(gc.get_objects(generation=age)) for age in ages))

    gc.callbacks.append(count)
    try:
        tuning.settle("another page of this test")
        walked.clear()
        kept = [[] for _ in range(400_000)]  # as many as 800 windows that open together
        assert len(walked) >= 3
        assert max(walked) < len(kept) / 2
    finally:
        gc.callbacks.remove(count)
        gc.unfreeze()
        gc.set_threshold(*thresholds)
