"""Names become folders: one here, one from a hub, one from its cache."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from lampe.checkpoint import load_weights, read_config, resolve
from lampe.errors import CheckpointError, MissingExtraError
from lampe.positional.profile import BESIDE
from tests.checkpoint.hub_server import COMMIT, Hub, serve
from tests.checkpoint.loading import CPU, empty, load
from tests.checkpoints import make

NAME = "some-org/Some-Model_1.5"
UNWANTED = {
    "pytorch_model.bin": b"\x80\x04.",
    "consolidated.safetensors": b"the same weights again",
    "original/params.json": b"{}",
    "original/model.safetensors": b"and again",
    "onnx/model.onnx": b"",
    "training_args.bin": b"\x80\x04.",
    "adapter_model.safetensors": b"a few more weights",
    "model.fp16.safetensors": b"and again",
    "README.md": b"# a model",
    "modeling_own.py": b"raise SystemExit",
}
TOOL_USE = "additional_chat_templates/tool_use.jinja"
TOKENIZER = {
    name: f'{{"name": "{name}"}}'.encode()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "qwen.tiktoken", BESIDE, TOOL_USE)
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    make("llama3", tmp_path / "made", sharded=True)
    return {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}


@pytest.fixture
def hub(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    # What the environment variables HF_ENDPOINT and HF_HUB_OFFLINE set when huggingface_hub is imported.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with serve({NAME: files | TOKENIZER | UNWANTED}) as server:
        point_to(server.url, monkeypatch)
        yield server


def point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


def test_a_download_brings_what_a_checkpoint_needs_and_nothing_else(
    hub: Hub, files: dict[str, bytes], tmp_path: Path
) -> None:
    folder = resolve(NAME, cache_dir=tmp_path / "cache")
    assert sorted(hub.downloads) == sorted(files | TOKENIZER)
    brought = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in brought.items()} == files | TOKENIZER
    # The files are links into the blobs of the cache, and the index may follow those.
    assert (folder / "config.json").is_symlink()
    assert all(torch.equal(tensor, load(tmp_path / "made")[key]) for key, tensor in load(folder).items())


def test_a_second_time_nothing_is_fetched_and_then_no_hub_is_needed(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    folder = resolve(NAME, cache_dir=cache)
    hub.downloads.clear()
    assert resolve(NAME, cache_dir=cache) == folder
    assert resolve(NAME, cache_dir=cache, offline=True) == folder
    assert resolve(NAME, cache_dir=cache, revision=COMMIT, offline=True) == folder
    assert hub.downloads == []
    point_to("http://127.0.0.1:9", monkeypatch)
    assert resolve(NAME, cache_dir=cache) == folder
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert resolve(NAME, cache_dir=cache) == folder


def test_a_cache_that_another_program_filled(hub: Hub, files: dict[str, bytes], tmp_path: Path) -> None:
    repo = tmp_path / "cache" / f"models--{NAME.replace('/', '--')}"
    snapshot = repo / "snapshots" / COMMIT
    for folder in (snapshot, repo / "blobs", repo / "refs"):
        folder.mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    for number, (name, content) in enumerate(files.items()):
        (repo / "blobs" / f"{number:040}").write_bytes(content)
        (snapshot / name).symlink_to(Path("../../blobs") / f"{number:040}")
    folder = resolve(NAME, cache_dir=tmp_path / "cache", offline=True)
    model = empty(folder)
    load_weights(model, folder, dtype=torch.float32, device=CPU)
    assert torch.equal(model.model.norm.weight, load(tmp_path / "made")["model.norm.weight"])


def test_one_file_of_weights_comes_before_an_index_and_other_files(hub: Hub, tmp_path: Path) -> None:
    hub.repos = {NAME: {"config.json": b"{}", "model.safetensors": b"all", **hub.repos[NAME]}}
    folder = resolve(NAME, cache_dir=tmp_path / "cache")
    assert [path.name for path in folder.glob("*.safetensors")] == ["model.safetensors"]
    assert resolve(NAME, cache_dir=tmp_path / "cache", offline=True) == folder


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (("Q4.gguf", "README.md"), r"holds only GGUF files \(Q4.gguf\): download one and `lampe convert` it$"),
        (("config.json", "a/Q4.gguf", "b/Q8.gguf"), r"holds only GGUF files \(a/Q4.gguf, b/Q8.gguf\): download one"),
        (("config.json", "pytorch_model.bin"), r"holds only pickled weights \(pytorch_model.bin\), and lampe never"),
        (
            ("config.json", "adapter_model.safetensors"),
            r"holds adapter_model.safetensors, but neither model.safetensors",
        ),
        (("config.json",), "holds no weights: model.safetensors, or shards and model.safetensors.index.json, would be"),
    ],
)
def test_a_repository_without_weights_says_what_it_holds(
    held: tuple[str, ...], message: str, hub: Hub, tmp_path: Path
) -> None:
    hub.repos = {NAME: dict.fromkeys(held, b"{}")}
    with pytest.raises(CheckpointError, match=f"^'{NAME}' {message}"):
        resolve(NAME, cache_dir=tmp_path / "cache")
    assert set(hub.downloads) <= {"config.json"}


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "GatedRepo", "on the hub it is gated: ask for access on its page and log in"),
        (404, "RepoNotFound", "the hub has no such repository, or it is private and you are not logged in"),
        (401, "", r"the hub answered 401 for it \(your login, or none, is not accepted"),
        (500, "", "the hub is out of reach or switched off, and the cache holds no complete copy"),
    ],
)
def test_what_the_hub_refuses(status: int, code: str, message: str, hub: Hub, tmp_path: Path) -> None:
    hub.refused[NAME] = (status, code)
    with pytest.raises(CheckpointError, match=message) as refused:
        resolve(NAME, cache_dir=tmp_path / "cache")
    assert NAME in str(refused.value)
    assert "\n" not in str(refused.value)


def test_names_and_revisions_that_do_not_exist(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="'some-org/other' is no folder here, and the hub has no such repository"):
        resolve("some-org/other", cache_dir=tmp_path)
    with pytest.raises(CheckpointError, match=f"'{NAME}' has no revision 'v9' on the hub"):
        resolve(NAME, revision="v9", cache_dir=tmp_path)


@pytest.mark.parametrize("offline", [True, None])
def test_out_of_reach_and_not_cached(
    offline: bool | None, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline is None)
    with pytest.raises(CheckpointError, match="out of reach or switched off, and the cache holds no complete copy"):
        resolve(NAME, cache_dir=tmp_path / "cache", offline=offline)
    assert hub.downloads == []


def test_a_folder_comes_before_the_hub(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(NAME).mkdir(parents=True)
    assert resolve(NAME) == Path(NAME)
    assert resolve(tmp_path / "made") == tmp_path / "made"
    assert read_config(resolve(str(tmp_path / "made"))).kind == "llama"
    assert hub.downloads == []


@pytest.mark.parametrize(
    "name", ["", "/no/such/folder", "model", "a/b/c", "~/nothing-here", "../x", "org/na me", "a/.."]
)
def test_what_is_neither_a_folder_nor_a_name(name: str, hub: Hub) -> None:
    with pytest.raises(CheckpointError, match=r"no folder here|neither a folder here") as refused:
        resolve(name)
    assert repr(name) in str(refused.value)
    assert hub.downloads == []


def test_files_are_no_folders(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(CheckpointError, match="is a GGUF file: `lampe convert"):
        resolve(tmp_path / "model.gguf")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is a file: give the folder that holds it"):
        resolve(tmp_path / "model.safetensors")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"a download needs huggingface_hub: pip install 'lampe\[hub\]'"):
        resolve(NAME)
