"""Time the report of a 16-arm run with 20,000 simulated votes, weigh it, and open it in Chromium.

OMP_NUM_THREADS=1 python -m benchmarks.report [--arms 16] [--votes 20000] [--format html]

The run is noise images in folders and ten metrics an arm; votes on two questions are drawn from
known scores. Seconds on the clock and of CPU are those of reading the votes, computing, drawing and
writing. The page is then opened in Chromium, if there is one, with its console and network watched.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from analysis.ballots import read_votes
from analysis.report import ReportInputs, write_report

METRICS = ("fid", "kid", "inception_score", "precision", "recall", "density", "coverage", "vendi",
           "clip_score", "caption_accuracy")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arms", type=int, default=16)
    parser.add_argument("--votes", type=int, default=20_000)
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--format", default="html", help="as of glide-eval report")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        arms = make_arms(given.arms)
        samples = make_samples(root, list(arms["name"]), given.prompts)
        votes = make_votes(list(arms["name"]), given.votes, given.prompts)
        votes.to_csv(root / "votes.csv", index=False)
        begun, cpu = time.perf_counter(), time.process_time()
        inputs = ReportInputs(
            "Benchmark", arms, make_metrics(list(arms["name"])), read_votes(root / "votes.csv"),
            samples, root,
        )  # fmt: skip
        page = write_report(inputs, root / "report", formats=given.format.split(","))
        wall, spent = time.perf_counter() - begun, time.process_time() - cpu
        files = [path for path in (root / "report").rglob("*") if path.is_file()]
        whole = sum(path.stat().st_size for path in files)
        print(
            f"{given.arms} arms, {len(votes):,} votes: {wall:.1f} s on the clock, {spent:.1f} s of "
            f"CPU; page {page.stat().st_size / 1e6:.2f} MB, folder {whole / 1e6:.1f} MB in "
            f"{len(files)} files"
        )
        if page.suffix == ".html":
            print(in_browser(page))


def make_arms(count: int) -> pd.DataFrame:
    """Unguided, and the rest half classifier-free and half CLIP guidance over scales."""
    rows: list[tuple[str, str, float, str]] = [("unguided", "unguided", np.nan, "Unguided")]
    for strategy, short, words in (
        ("classifier_free", "cfg", "Classifier-free"), ("clip", "clip", "CLIP"),
    ):  # fmt: skip
        of_strategy = count // 2 if short == "cfg" else count - 1 - count // 2
        for scale in np.round(np.geomspace(1.25, 10, max(of_strategy, 1)), 2)[:of_strategy]:
            rows.append((f"{short}-{scale:g}", strategy, scale, f"{words}, s = {scale:g}"))
    return pd.DataFrame(rows, columns=["name", "strategy", "scale", "label"])


def make_samples(root: Path, arms: list[str], prompts: int) -> pd.DataFrame:
    """A 128 px picture of coloured blocks for every arm and prompt."""
    rng, rows = np.random.default_rng(0), []
    for arm in arms:
        (root / "samples" / arm).mkdir(parents=True)
        for number in range(prompts):
            path = root / "samples" / arm / f"p{number:04d}-0.png"
            blocks = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(np.kron(blocks, np.ones((16, 16, 1), np.uint8))).save(path)
            caption = f"a large shiny red sphere to the left of small matte cube number {number}"
            rows.append((arm, f"p{number:04d}", caption, 0, 1000 + number,
                         path.relative_to(root).as_posix()))  # fmt: skip
    columns = ["arm", "prompt_id", "caption", "replica", "seed", "path"]
    return pd.DataFrame(rows, columns=columns)


def make_metrics(arms: list[str]) -> pd.DataFrame:
    """Ten metrics an arm with intervals."""
    rng = np.random.default_rng(1)
    rows = [
        (arm, metric, value, value - 0.2, value + 0.2, 48, "tabletop", "")
        for arm in arms
        for metric, value in zip(METRICS, rng.normal(10, 2, len(METRICS)), strict=True)
    ]
    columns = ["arm", "metric", "value", "ci_low", "ci_high", "n", "extractor", "note"]
    return pd.DataFrame(rows, columns=columns)


def make_votes(arms: list[str], count: int, prompts: int) -> pd.DataFrame:
    """Simulated votes of 200 raters on two questions, a tenth of them ties."""
    rng = np.random.default_rng(2)
    scores = rng.normal(0, 80, len(arms))
    left = rng.integers(0, len(arms), count)
    right = (left + rng.integers(1, len(arms), count)) % len(arms)
    wins = rng.random(count) < 1 / (1 + 10 ** ((scores[right] - scores[left]) / 400))
    answer = np.where(rng.random(count) < 0.1, "tie", np.where(wins, "left", "right"))
    half = np.arange(count) < count // 2
    return pd.DataFrame({
        "study": "benchmark",
        "question": np.where(half, "photorealism", "caption_similarity"),
        "prompt_id": np.char.mod("p%04d", rng.integers(0, prompts, count)), "replica": 0,
        "arm_left": np.array(arms)[left], "arm_right": np.array(arms)[right], "answer": answer,
        "rater": np.char.mod("r%03d", rng.integers(0, 200, count)), "rater_kind": "simulated",
        "seconds": rng.gamma(3, 2, count), "created_at": "2026-01-01T00:00:00+00:00",
        "assignment": np.arange(count),
    })  # fmt: skip


def in_browser(page: Path) -> str:
    """Console messages and requests of the page in Chromium, in words."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        return "No chromium and chromedriver here: the page was not opened."
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.get(page.as_uri())
        messages = driver.get_log("browser")
        events = [json.loads(e["message"])["message"] for e in driver.get_log("performance")]
        asked = {
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        }
        outside = [url for url in asked if not url.startswith(("data:", page.as_uri(), "about:"))]
        outside = [url for url in outside if not url.startswith("chrome")]
    finally:
        driver.quit()
    return f"Chromium: {len(messages)} console messages, {len(outside)} requests besides the page."


if __name__ == "__main__":
    main()
