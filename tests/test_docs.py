"""Every code block of README and docs/ runs, in order, page by page; generated tables are current."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from docs.build import PAGES, rebuilt
from lampe.positional import registry

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEXTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_runs(page, smollm2, tmp_path, monkeypatch):
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / smollm2.name).symlink_to(smollm2)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    before = dict(registry._entries)
    try:
        for language, code in BLOCK.findall(page.read_text()):
            if language == "python":
                exec(compile(code, str(page), "exec", dont_inherit=True), names)
            else:
                assert language == "console", f"{page.name}: a block of {language!r} is not run"
                run_console(code)
    finally:
        registry._entries = before


def run_console(code: str) -> None:
    for line in code.strip().splitlines():
        command = shlex.split(line, comments=True)
        if command[0] == "make":
            assert re.search(rf"^{command[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        elif command[0] == "pip":
            extras = re.search(r"\[(.*)\]", line)
            for extra in extras.group(1).split(",") if extras else ():
                assert re.search(rf"^{extra} = ", (ROOT / "pyproject.toml").read_text(), re.MULTILINE), line
        else:
            assert command[0] == "lampe", f"not run: {line}"
            done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, timeout=500)
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_generated_tables_are_current(page):
    assert (ROOT / page).read_text() == rebuilt(page), "run `make docs`"


def test_links_lead_somewhere():
    for page in TEXTS:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"
