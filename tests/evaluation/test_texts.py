from __future__ import annotations

from pathlib import Path

import pytest

from lampe.errors import ConfigError
from lampe.evaluation import python_documentation, read_text, texts
from lampe.evaluation.prose import Prose


def test_documentation_is_prose_and_never_repeats_itself():
    paragraphs = python_documentation().split("\n\n")
    assert len(paragraphs) == len(set(paragraphs)) > 1000
    assert "Assert statements are a convenient way to insert debugging assertions into a program:" in paragraphs
    assert 'The "assert" statement' in paragraphs
    assert paragraphs.index('The "assert" statement') < paragraphs.index('The "while" statement')
    assert not [p for p in paragraphs if "::=" in p or ">>>" in p or "\n" in p or p != p.strip()]
    assert sum(map(len, paragraphs)) > 200_000


LIBRARY = {
    "b.py": '''"""Second module.

    {long} in the second module.
    """
def f():
    """{long} of f.

    >>> f()
    """
''',
    "a/__init__.py": '"""{long} in the package."""\nclass C:\n    """{long} in the package."""\n',
    "test/c.py": '"""{long} in a test."""',
    "broken.py": "def f(:",
}


@pytest.fixture
def library(tmp_path: Path, monkeypatch) -> Path:
    """A standard library of two modules, beside what is left out of it."""
    long = "A paragraph whose words are many more than twenty, as those of a docstring that explains " * 2
    for name, content in LIBRARY.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content.replace("{long}", long + "something"))
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"stdlib": str(tmp_path)})
    texts.python_library.cache_clear()
    yield tmp_path
    texts.python_library.cache_clear()


def test_the_library_is_the_prose_of_its_docstrings(library: Path):
    paragraphs = read_text("python-library").split("\n\n")
    assert [paragraph.rsplit("something ")[1] for paragraph in paragraphs] == [
        "in the package.",
        "in the second module.",
        "of f.",
    ]
    assert [name for name, _ in texts.documents("python-library")] == ["python-library"]
    for path in library.rglob("*.py"):
        path.unlink()
    texts.python_library.cache_clear()
    with pytest.raises(ConfigError, match="this Python carries no sources of its library; name a file instead"):
        texts.python_library()


@pytest.mark.slow
def test_the_real_library_is_long_and_never_repeats_itself():
    paragraphs = read_text("python-library").split("\n\n")
    assert len(paragraphs) == len(set(paragraphs)) > 2000
    # One paragraph is in both, from the docstrings of pdb; a profile is fitted to one text and tried on the other.
    assert len(set(paragraphs) & set(read_text("python").split("\n\n"))) <= 1
    assert sum(map(len, paragraphs)) > 500_000
    assert read_text("python") == python_documentation()


def test_a_file_is_reached_where_a_text_has_its_name(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("python").write_text("a file of that name")
    assert texts.documents("./python") == [("python", "a file of that name")]
    assert texts.documents("python")[0][1] == python_documentation()


def test_names_and_paths_can_be_mixed(tiny, library: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(texts.NAMED, "python", lambda: "The reference.")
    (tmp_path / "own.txt").write_text("A text of one's own.")
    tokenizer = tiny[0].tokenizer
    mixed = Prose.documents(("python", str(tmp_path), "python-library"), tokenizer)
    assert [prose.name for prose in mixed] == ["python", "own.txt", "python-library"]
    assert [prose.text for prose in mixed[:2]] == ["The reference.", "A text of one's own."]
    assert mixed[2] == Prose.load("python-library", tokenizer)
    assert Prose.documents(None, tokenizer) == mixed[:1] == [Prose.load(None, tokenizer)]


def test_a_folder_is_its_text_files_in_the_order_of_their_names(tmp_path: Path):
    (tmp_path / "b.txt").write_bytes("\ufeffsecond\r\nline\n".encode())
    (tmp_path / "a.txt").write_text("first\n\n")
    (tmp_path / "c.md").write_text("no text file")
    assert read_text(tmp_path) == "first\n\nsecond\nline"
    assert read_text(tmp_path / "b.txt") == "second\nline"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("absent.txt", None, "there is no such file or folder, and no text of that name (python, python-library)"),
        ("blank.txt", b" \n\t\n", "there is nothing in it but white space"),
        ("latin.txt", "na\xefve".encode("latin-1"), "byte 2 is not UTF-8; save the file as UTF-8 text"),
    ],
)
def test_a_text_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, sentence: str):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_text(path)
    assert str(error.value) == f"text {path}: {sentence}"


def test_a_folder_without_texts(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"the folder holds no \.txt file"):
        read_text(tmp_path)
