from __future__ import annotations

import base64
import re
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lampe.evaluation.compare.html import page, write_page
from lampe.evaluation.compare.pictures import draw
from lampe.evaluation.compare.report import Report
from tests.evaluation.compare.records import record, suite

EVIL = "<script>alert('x')</script>\"'><img src=http://evil.example/a.png onerror=alert(1)>{{ 7 * 7 }}"


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, tables as text, and whether all tags are closed."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.script = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.script += data
        elif "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def words(self, table: int) -> list[list[str]]:
        return [[" ".join(cell.split()) for cell in row] for row in self.tables[table]]


RECORDS = [
    *[record("passkey", "RoPE", 4096, float(t == 0), trial=t, output=EVIL, references=("1", "2")) for t in range(6)],
    *[record("passkey", "LaMPE", 4096, 1.0, trial=t, output="right", references=("1",)) for t in range(6)],
    record("passkey", "LaMPE", 8192, 0.5, output="x" * 501, prompt="0123456789abcdef"),
    record("perplexity", "LaMPE", 4096, float("nan")),
]


def test_the_tables_are_all_there():
    seen = Page(page(Report.of(RECORDS, baseline="RoPE", title="Two methods"), samples=6))
    assert seen.open == []
    figures, differences, samples, perplexity = (seen.words(index) for index in range(4))
    assert figures == [
        ["method", "4,096", "8,192"],
        ["RoPE", "0.167[0.000, 0.667]", "-"],
        ["LaMPE", "1.000 ▲[1.000, 1.000]", "0.500"],
        ["samples (contexts)", "6 (6)", "1 (1)"],
    ]
    assert differences == [["method", "4,096", "8,192"], ["LaMPE", "+0.833 ▲[+0.333, +1.000] 6 (6)", "-"]]
    assert len(samples) == 14
    assert samples[1] == ["RoPE", "4,096", "0", "p", "1 | 2", " ".join(EVIL.split()), "1"]
    assert samples[13][3:] == ["0123456789ab", "", "x" * 500 + "… (501 characters)", "0.5"]
    assert perplexity[1:3] == [["RoPE", "-"], ["LaMPE", "nan"]]
    assert [row for row in seen.words(5) if row[0] in ("dtype", "device")] == [["dtype", "float32"], ["device", "cpu"]]


def test_what_a_model_answers_stays_text():
    hostile = [
        record("passkey", EVIL, 4096, 1.0, name=EVIL + "t", model=EVIL + "m", output=EVIL, references=(EVIL,), key=EVIL)
    ]
    text = page(Report.of(hostile, title=EVIL, about={EVIL: EVIL}, baseline=EVIL), results='"><script>')
    seen = Page(text)
    assert seen.open == []
    assert [len(seen.all(tag)) for tag in ("script", "img", "iframe", "object", "link")] == [1, 0, 0, 0, 0]
    assert "7 * 7" in text
    assert not any(name.startswith("on") for _, attributes in seen.elements for name in attributes)
    assert seen.words(1)[1][5] == " ".join(EVIL.split())


def test_the_page_needs_nothing_else(tmp_path: Path):
    report = Report.of(RECORDS, baseline="RoPE")
    pictures = draw(report, tmp_path)
    path = write_page(report, tmp_path / "new" / "report.html", pictures)
    text = path.read_text(encoding="utf-8")
    seen = Page(text)
    images = seen.all("img")
    assert [image["alt"] for image in images] == [picture.text for picture in pictures]
    for image, picture in zip(images, pictures, strict=True):
        head, data = str(image["src"]).split(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(data) == picture.path.read_bytes()
    links = {str(link["href"]) for link in seen.all("a")}
    assert {link for link in links if not link.startswith("#")} == {"results.jsonl"}
    targets = {attributes.get("id") for _, attributes in seen.elements}
    assert {link[1:] for link in links if link.startswith("#")} <= targets
    assert not re.search(r"@import|url\(", text)
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_a_browser_runs_the_script_of_the_page_and_no_other():
    seen = Page(page(Report.of(RECORDS)))
    policy = next(str(meta["content"]) for meta in seen.all("meta") if "http-equiv" in meta)
    digest = base64.b64encode(sha256(seen.script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_samples_that_are_left_out_are_counted():
    text = page(Report.of(RECORDS), samples=2)
    assert "The first 2 of each method and length; 8 more are in" in text
    assert len(Page(text).words(1)) == 1 + 5
    assert "more are in" not in page(Report.of(RECORDS), samples=6)


def test_figures_sort_as_numbers_and_what_is_none_sorts_last():
    seen = Page(page(Report.of(RECORDS)))
    values = [
        attributes["data-value"] for tag, attributes in seen.elements if tag == "td" and "data-value" in attributes
    ]
    assert values == [repr(1 / 6), "", "1.0", "0.5", "", ""]
    first = [attributes["data-first"] for attributes in seen.all("th") if "data-first" in attributes]
    assert first == ["ascending", "descending", "descending", "ascending", "ascending"]


def test_a_suite_says_what_it_is_made_of():
    with suite():
        made = [record(kind, "RoPE", 4096, 0.9) for kind in ("walk", "swim")]
        text = page(Report.of(made))
    assert "The mean of walk, swim. Effective length: the longest with a mean above 85.6 %." in text
    assert Page(text).words(0)[1] == ["RoPE", "0.900", "4,096"]


def test_configs_are_shown_once_and_where_each_was_used():
    def at(length: int, factor: int):
        return record("passkey", "YaRN", length, 1.0, setting={"positional": {"kind": "yarn", "factor": factor}})

    text = page(Report.of([at(4096, 2), at(8192, 2)]))
    assert text.count("&#34;factor&#34;: 2") == 1
    assert "m, 4,096 tokens" not in text
    text = page(Report.of([at(4096, 2), at(8192, 4), at(16384, 4)]))
    assert re.search(r"m, 4,096 tokens</p>\s*<pre>{[^<]*factor&#34;: 2", text)
    assert re.search(r"m, 8,192 tokens; m, 16,384 tokens</p>\s*<pre>{[^<]*factor&#34;: 4", text)


@pytest.mark.parametrize("about", [{}, {"machine": {"cores": 2}, "note": "by hand", "none": None}])
def test_what_was_run_is_told(about):
    text = page(Report.of(RECORDS, about=about, window=8192))
    assert "Trained window: 8,192 tokens." in text
    assert ("About this run" in text) == bool(about)
    assert ("&#34;cores&#34;: 2" in text) == bool(about)


def test_a_page_of_nothing():
    seen = Page(page(Report.of([], labels=["RoPE"], title="Nothing yet")))
    assert (seen.open, seen.tables) == ([], [])
