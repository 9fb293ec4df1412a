"""From a number to the votes and pictures behind it."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pandas as pd
import pytest

from analysis import read_votes
from analysis.report import ReportInputs
from analysis.report.page import behind as behind_module
from analysis.report.page.render import render_pages
from analysis.report.write import build


class Links(HTMLParser):
    """The ids and the addresses of a page."""

    def __init__(self, page):
        super().__init__()
        self.ids, self.links, self.images = set(), [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.ids.add(told.get("id"))
        self.links += [told["href"]] if tag == "a" and told.get("href") else []
        self.images += [told.get("data-full") or told.get("src")] if tag == "img" else []


def check_links(page):
    for link in Links(page.read_text("utf-8")).links:
        file, _, place = link.partition("#")
        if file.endswith(".html") or not file:
            target = page.parent / file if file else page
            assert not place or place in Links(target.read_text("utf-8")).ids, link


def test_every_link_leads_somewhere(simulated_report):
    pages = [simulated_report, *(simulated_report.parent / "votes").glob("*.html")]
    assert len(pages) > 3
    for page in pages:
        check_links(page)
        for image in Links(page.read_text("utf-8")).images:
            assert image.startswith("data:") or (page.parent / unquote(image)).is_file()
    cells = [link for link in Links(pages[0].read_text("utf-8")).links if link.startswith("votes/")]
    assert len({link for link in cells if "~" in link}) > 20


def votes_of(rows, **more):
    table = pd.DataFrame(rows, columns=["arm_left", "arm_right", "answer", "rater"])
    return read_votes(table.assign(question="beauty", **more))


@pytest.fixture
def pages(tmp_path):
    """The pages of a table of votes, by their paths; images lie in `tmp_path`."""

    def render(votes):
        names = list(votes["arm_left"].cat.categories)
        arms = pd.DataFrame({"name": names, "strategy": "imported", "scale": None, "label": names})
        inputs = ReportInputs("Ours", arms, votes=votes, images=tmp_path / "data")
        return render_pages(build([inputs]), tmp_path / "report")

    return render


ROWS = [("<b>a", "b c", "left", "anna"), ("b c", "<b>a", "tie", "ben"),
        ("<b>a", "b c", "right", "anna"), ("b c", "<b>a", "both_bad", "carl")]  # fmt: skip


def test_a_vote_has_its_answer_time_and_number_but_no_rater(pages):
    votes = votes_of(ROWS, prompt_id="p&1", seconds=[1.25, 2, 3, 4],
                     created_at="2026-02-03T04:05:06+00:00", caption="a <i>cat")  # fmt: skip
    made = pages(votes)
    page = " ".join(re.sub("<[^>]*>", " ", made["votes/beauty-1.html"]).split())
    assert "rater 1 &lt;b&gt;a, on the left 1.2 s 2026-02-03 04:05" in page
    assert "rater 1 b c, on the right 3.0 s" in page
    assert "rater 2 Tie" in page
    assert "rater 3 Both bad" in page
    assert "a &lt;i&gt;cat" in page
    assert not any(name in text for name in ("anna", "carl") for text in made.values())
    assert "<b>a" not in "".join(made.values())
    assert {"%3Cb%3Ea~b%20c", "%3Cb%3Ea~b%20c~p%261"} <= Links(made["votes/beauty-1.html"]).ids


def test_pictures_of_imported_votes_are_shown_from_their_folder_alone(pages, tmp_path):
    (tmp_path / "data/in").mkdir(parents=True)
    (tmp_path / "data/in/a b.png").write_bytes(b"x")
    (tmp_path / "secret.png").write_bytes(b"x")
    lefts = ["in/a b.png", "https://example.org/x.png", "../secret.png", "in/gone.png"]
    rights = ["javascript:alert(1)", "/etc/hostname", str(tmp_path / "secret.png"), None]
    votes = votes_of(ROWS, prompt_id=["p1", "p2", "p3", "p4"], image_left=lefts,
                     image_right=rights)  # fmt: skip
    page = pages(votes)["votes/beauty-1.html"]
    found = Links(page)
    assert found.images == ["../../data/in/a%20b.png"]
    assert [link for link in found.links if "example" in link] == ["https://example.org/x.png"]
    assert not any(word in page for word in ("javascript", "secret", "hostname", "gone"))


def test_of_many_votes_the_first_of_each_pair_are_shown(pages, monkeypatch):
    monkeypatch.setattr(behind_module, "MOST", 30)
    monkeypatch.setattr(behind_module, "ON_A_PAGE", 10)
    rows = [("a", "b", "left" if n % 3 else "right", f"r{n % 5}") for n in range(60)]
    rows += [("a", "c", "left" if n % 2 else "right", f"r{n % 5}") for n in range(10)]
    made = pages(votes_of(rows, prompt_id=[f"p{n % 7}" for n in range(70)]))
    of_votes = [text for name, text in made.items() if re.search(r"beauty-\d", name)]
    assert 2 <= len(of_votes) <= 4
    assert sum(text.count("<td>rater") for text in of_votes) == 30
    assert "40 more votes on this pair stand in the table of votes alone" in "".join(of_votes)


def test_votes_without_prompts_are_listed_by_pair(pages):
    made = pages(votes_of(ROWS))
    assert "votes/beauty-1.html#" in made["index.html"]
    assert "By prompt" not in made["votes/beauty.html"]
