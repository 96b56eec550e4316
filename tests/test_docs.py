"""Every code block of README and docs/ runs, in order, page by page; generated tables are current."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from docs import method_pages
from docs.build import PAGES, rebuilt
from lampe import attention, evaluation, models, positional
from lampe.integrations import lm_eval

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLUGIN = ROOT / "examples" / "plugin" / "pyproject.toml"
REGISTRIES = (positional.registry, attention.registry, models.registry, evaluation.registry)
TEXTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_runs(page, smollm2, tmp_path, monkeypatch):
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / smollm2.name).symlink_to(smollm2)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    before = [dict(registry._entries) for registry in REGISTRIES]
    try:
        text = page.read_text()
        for block in BLOCK.finditer(text):
            language, code = block.groups()
            if language == "python":
                # Empty lines before it, so that a failure names the lines of the page.
                above = "\n" * text.count("\n", 0, block.start(2))
                exec(compile(above + code, str(page), "exec", dont_inherit=True), names)
            elif language == "yaml":
                # Its first line names the file that the commands below it read.
                (tmp_path / code.partition("\n")[0].removeprefix("# ")).write_text(code)
            elif language == "toml":
                assert code in PLUGIN.read_text(), f"{page.name}: not in examples/plugin/pyproject.toml: {code}"
            else:
                assert language == "console", f"{page.name}: a block of {language!r} is not run"
                run_console(code)
    finally:
        for registry, entries in zip(REGISTRIES, before, strict=True):
            registry._entries = entries


def run_console(code: str) -> None:
    for line in code.strip().splitlines():
        command = shlex.split(line, comments=True)
        if command[0] == "make":
            assert re.search(rf"^{command[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        elif command[0] == "pip":
            extras = re.search(r"\[(.*)\]", line)
            for extra in extras.group(1).split(",") if extras else ():
                assert re.search(rf"^{extra} = ", (ROOT / "pyproject.toml").read_text(), re.MULTILINE), line
        elif command[0] == "lampe-lm-eval":
            # The harness's tasks would be downloaded; its model is made as the line says.
            model = lm_eval.LampeLM.create_from_arg_string(command[command.index("--model_args") + 1])
            assert model.llm.positional.config.span == 4096
        else:
            assert command[0] == "lampe", f"not run: {line}"
            done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, timeout=500)
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_generated_tables_are_current(page):
    assert (ROOT / page).read_text() == rebuilt(page), "run `make docs`"


def test_method_pages_are_current_and_have_their_pictures():
    for name, text in method_pages.pages().items():
        assert (method_pages.FOLDER / name).read_text() == text, f"{name}: run `make docs`"
    pictures = {path.stem for path in method_pages.FOLDER.glob("*.png")}
    assert pictures == {*method_pages.own_methods(), "gallery"}, "run `make pictures`"


def test_every_field_of_a_method_says_what_it_means():
    for name in method_pages.own_methods():
        config = positional.registry.get(name).Config
        assert {"kind", *method_pages.meanings(config)} >= set(config.model_fields), name


def test_links_lead_somewhere():
    for page in TEXTS:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"
