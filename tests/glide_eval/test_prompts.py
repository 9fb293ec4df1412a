from __future__ import annotations

import pytest

from glide_eval.errors import ConfigError
from glide_eval.files import Prompt
from glide_eval.sweep import load_prompts, load_sweep
from glide_eval.sweep.file.prompts import tabletop_captions
from glide_eval.sweep.file.sweep_file import TabletopPromptsTable
from tests.glide_eval.sweeps import write_sweep


def prompts_from(tmp_path, name: str, content: str):
    sweep = write_sweep(tmp_path, prompts=f'file = "{name}"')
    (tmp_path / name).write_text(content, encoding="utf-8")
    return load_prompts(load_sweep(sweep))


def test_captions_written_in_the_sweep_file_are_numbered(tmp_path):
    sweep = write_sweep(tmp_path, prompts='captions = ["a cat", " a dog "]')
    assert load_prompts(load_sweep(sweep)) == [Prompt("p0000", "a cat"), Prompt("p0001", "a dog")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.txt", "a cat\n\na dog, running\n"),
        ("c.csv", 'caption,source\na cat,x\n"a dog, running",y\n'),
        ("c.csv", '\ufeffcaption\r\na cat\r\n"a dog, running"\r\n'),
        ("c.jsonl", '{"caption": "a cat"}\n{"caption": "a dog, running", "n": 1}\n'),
    ],
)
def test_a_text_csv_or_json_lines_file_gives_the_same_prompts(tmp_path, name, content):
    prompts = prompts_from(tmp_path, name, content)
    assert prompts == [Prompt("p0000", "a cat"), Prompt("p0001", "a dog, running")]


def test_an_id_column_pins_the_ids(tmp_path):
    prompts = prompts_from(tmp_path, "c.csv", "id,caption\ncoco.17,a cat\ncoco.4,a dog\n")
    assert [p.id for p in prompts] == ["coco.17", "coco.4"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.txt", "\n\n", "at least one caption"),
        ("c.md", "a cat", r"\.txt, \.csv or \.jsonl, found \.md"),
        ("c.csv", "text\na cat\n", "row 1 has no `caption` .found `text`"),
        ("c.csv", "id,caption\n1,a cat, running\n", "row 1 has another number of fields"),
        ("c.csv", "id,caption\na-b,a cat\n", "id 'a-b'"),
        ("c.csv", "id,caption\na,a cat\nA,a dog\n", "stands for several captions"),
        ("c.jsonl", '{"caption": "a"}\n{"caption"\n', r"c\.jsonl:2: expected one JSON object"),
        ("c.jsonl", "[1]\n", "expected one JSON object"),
    ],
)
def test_a_damaged_prompts_file_is_named_with_the_place_and_the_reason(
    tmp_path, name, content, message
):
    with pytest.raises(ConfigError, match=message) as caught:
        prompts_from(tmp_path, name, content)
    assert name in str(caught.value)


def test_a_missing_prompts_file_is_looked_for_beside_the_sweep_file(tmp_path):
    sweep = write_sweep(tmp_path / "deep", prompts='file = "../captions.txt"')
    with pytest.raises(ConfigError, match="no such file"):
        load_prompts(load_sweep(sweep))
    (tmp_path / "captions.txt").write_text("a cat\n", encoding="utf-8")
    assert load_prompts(load_sweep(sweep)) == [Prompt("p0000", "a cat")]


class TestTabletop:
    def test_captions_are_distinct_and_repeat_with_their_seed(self):
        table = TabletopPromptsTable(count=48, seed=5, objects=[1, 2])
        captions = tabletop_captions(table)
        assert len(set(captions)) == 48
        assert tabletop_captions(table) == captions
        assert tabletop_captions(table.model_copy(update={"seed": 6})) != captions

    def test_a_longer_list_begins_with_the_shorter(self):
        short = TabletopPromptsTable(count=10, seed=5)
        long = TabletopPromptsTable(count=20, seed=5)
        assert tabletop_captions(long)[:10] == tabletop_captions(short)

    def test_object_counts_take_turns(self):
        from generator.tabletop.captions import parse

        captions = tabletop_captions(TabletopPromptsTable(count=6, objects=[1, 3]))
        claims = [parse(caption) for caption in captions]
        assert [len(claim.mentions) for claim in claims if claim] == [1, 3, 1, 3, 1, 3]

    def test_where_captions_of_one_object_run_out_others_go_on(self):
        from generator.tabletop.captions import parse

        captions = tabletop_captions(TabletopPromptsTable(count=420, objects=[1, 2]))
        claims = [len(claim.mentions) for claim in map(parse, captions) if claim]
        assert len(set(captions)) == 420
        assert claims[:300] == [1, 2] * 150
        assert claims.count(1) <= 18 * 9, "18 colours and shapes; size and material said or not"
        assert set(claims[340:]) == {2}

    def test_more_captions_than_the_grammar_holds_are_refused(self):
        with pytest.raises(ConfigError, match="ran out of new captions"):
            tabletop_captions(TabletopPromptsTable(count=5000, objects=[1]))
