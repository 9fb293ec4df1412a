from __future__ import annotations

import gc
import resource

from study_app.serving import tuning


def test_a_server_may_open_as_many_connections_as_the_system_allows():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        tuning.tune()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


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
