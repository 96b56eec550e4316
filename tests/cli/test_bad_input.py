"""Bad input, and the one sentence it gets, with exit code 2 and nothing on stdout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from lampe.positional import registry as methods
from tests.checkpoint.gguf_samples import Sample, random_model
from tests.cli.chat_model import Lampe

NAMES = ", ".join(methods.names())
LAMPE_FIELDS = (
    "kind, temperature, log_n, length, original_window, sliding_window, checkpoint_scaling, head, tail, span, "
    "profile, force_profile, variant, fractional"
)
FORMS = 'a name, "name:field=value:field=value", a JSON object, or a .json file'
ONE_PROMPT = "expected one prompt: PROMPT, - for standard input, or --prompt-file FILE"

GENERATE = "generate {model} hello"
INSPECT = "inspect rope --length 64"
EVAL = "eval perplexity {model} --text {prose}"

TABLE: dict[str, str] = {
    # The checkpoint.
    "generate no-such-folder hello": "'no-such-folder' is no folder here, nor a name on the hub such as 'org/name'",
    "generate {empty} hello": "{empty} holds no config.json, so it is no checkpoint",
    "generate {pickled} hello": (
        "{pickled} holds only pickled weights (pytorch_model.bin), and lampe never unpickles: convert them to "
        "safetensors first"
    ),
    "generate {untokenised} hello": (
        "no tokenizer in {untokenised}: looked for tokenizer.json, tokenizer.model and qwen.tiktoken"
    ),
    "generate {gguf} hello": "{gguf} is a GGUF file: `lampe convert {gguf} folder` makes a checkpoint of it",
    "generate {prose} hello": "{prose} is a file: give the folder that holds it",
    "chat {untemplated}": (
        "no chat template in {untemplated}: looked for chat_template.jinja and for chat_template in "
        "tokenizer_config.json"
    ),
    # The method.
    f"{GENERATE} -p lamp": f"unknown positional method 'lamp' (did you mean 'lampe'?); there are: {NAMES}",
    f"{GENERATE} -p qqq": f"unknown positional method 'qqq'; there are: {NAMES}",
    f"{GENERATE} -p lampe --set haed=3": (
        f"positional method 'lampe': unknown field 'haed' (did you mean 'head'?); fields: {LAMPE_FIELDS}"
    ),
    f"{GENERATE} -p lampe --set head=-1": (
        "positional method 'lampe': head = -1: input should be greater than or equal to 0"
    ),
    f"{GENERATE} -p lampe --set head": "setting 'head': expected field=value, such as head=512",
    f"{GENERATE} -p lampe:head": f"positional method 'lampe:head': expected {FORMS}",
    f"{GENERATE} --set head=3": "--set head=3 needs --positional: it is a field of a positional method",
    f"{GENERATE} -p none.json": "positional method file none.json cannot be read: No such file or directory",
    f"{GENERATE} -p [1]": f"positional method '[1]': expected {FORMS}",
    f"{GENERATE} -p lampe:profile=llama9": (
        "positional method 'lampe': lampe profile = 'llama9': neither a file nor a known "
        "name (did you mean 'llama3'?); names: llama2, llama3, mistral, llama3.1, smollm2-135m-instruct"
    ),
    # The model.
    f"{GENERATE} --dtype int8": "dtype = 'int8': expected 'auto', 'float32', 'bfloat16', 'float16'",
    f"{GENERATE} --device tpu9": "device = 'tpu9': expected one of those of this machine: {devices}",
    f"{GENERATE} --device cuda:99": "device = 'cuda:99': expected one of those of this machine: {devices}",
    f"{GENERATE} --attention flash": ("unknown attention backend 'flash'; there are: auto, chunked, dense, sdpa"),
    # The prompt and the sampling.
    "generate {model}": ONE_PROMPT,
    f"{GENERATE} --prompt-file {{prose}}": ONE_PROMPT,
    "generate {model} -": "standard input is empty: a prompt needs at least one character",
    "generate {model} --prompt-file none.txt": "prompt file none.txt cannot be read: No such file or directory",
    "generate {model} --prompt-file {latin1}": "{latin1} is not UTF-8 text: invalid continuation byte at byte 3",
    f"{GENERATE} -n 0": "generate: max_new_tokens = 0: input should be greater than or equal to 1",
    f"{GENERATE} --temperature -1": "generate: temperature = -1.0: input should be greater than or equal to 0",
    f"{GENERATE} --top-p 3": "generate: top_p = 3.0: input should be less than or equal to 1",
    "chat {model} --top-k 0": "chat: top_k = 0: input should be greater than or equal to 1",
    # list and inspect.
    "list method": "unknown list 'method' (did you mean 'methods'?); there are: methods, backends, families, tasks",
    "inspect rope --length 0": "length = 0: expected 1 to 16777216 tokens",
    "inspect rope --length 99999999": "length = 99999999: expected 1 to 16777216 tokens",
    "inspect lampe:head=8:tail=4:span=1 --length 100 --window 64": (
        "lampe: span = 1 is too coarse for 100 tokens: the group of 98 tokens at the tail reaches into the head of 8; "
        "raise span or lower head"
    ),
    "inspect --length 64": "lampe inspect takes either a method or --all",
    f"{INSPECT} --all": "lampe inspect takes either a method or --all",
    "inspect --all --length 64 --set factor=2": "--set: not together with --all, which sets each method",
    "inspect --all --length 64 --for-length 9": "--for-length: not together with --all, which sets each method",
    "inspect dpe:scales=[1,2,3] --length 2048": ("dpe: scales = (1, 2, 3): 3 groups do not divide the 64 frequencies"),
    f"{INSPECT} --set sliding_window=0": (
        "positional method 'rope': sliding_window = 0: input should be 'checkpoint' or 'off', "
        "or input should be greater than or equal to 1"
    ),
    "inspect dca:chunk=8:local=8 --length 64": "positional method 'dca': local = 8 must be below chunk = 8",
    "inspect string:shift=8:local=9 --length 64": "positional method 'string': local = 9 must not exceed shift = 8",
    f"{INSPECT} --dim 7": "--window, --theta, --dim: dim = 7: input should be a multiple of 2",
    f"{INSPECT} --window 1": (
        "--window, --theta, --dim: max_position = 1: input should be greater than 1; original_window = 1: input should "
        "be greater than 1"
    ),
    f"{INSPECT} --out map.jpg": "picture map.jpg: expected a name that ends in .png, .pdf, .svg",
    f"{INSPECT} --out no-folder/map.png": "picture no-folder/map.png: there is no folder no-folder",
    f"{INSPECT} --checkpoint {{model}} --theta 5": (
        "--theta: not together with --checkpoint, whose config.json says it"
    ),
    f"{INSPECT} --checkpoint {{model}} --layer 3": "layer = 3: {model} has layers 0 to 2",
    "inspect longrope --length 64": (
        "longrope: short_factor holds 0 factors, the rotary dimension 128 needs 64; they come with a checkpoint"
    ),
    # convert.
    "convert none.gguf {empty}": "none.gguf is not a file; expected a GGUF file",
    "convert {prose} {fresh}": "prose.txt is no GGUF file: it starts with b'Stri', not b'GGUF'",
    "convert {gguf} {fresh} --dtype int4": "dtype = 'int4'; accepted: bfloat16, float16, float32",
    "convert {gguf} {model}": "{model} is not empty; choose another folder, or overwrite it",
    # eval.
    "eval perplexity {model} --text none.txt": (
        "text none.txt: there is no such file or folder, and no text of that name (python, python-library)"
    ),
    f"{EVAL} --lengths 64,x": (
        "lengths = '64,x': expected whole numbers of tokens with commas between, such as 2048,8192"
    ),
    f"{EVAL} --lengths 64": (
        "task 'perplexity': a context of 64 tokens is too short to score the last 256; it needs at least 257"
    ),
    f"{EVAL} --places 0": "task 'perplexity': places = 0: input should be greater than or equal to 1",
    f"{EVAL} --methods rope,lamp": f"unknown positional method 'lamp' (did you mean 'lampe'?); there are: {NAMES}",
    f"{EVAL} --methods rope --method rope": "method 'rope' is named twice",
    f"{EVAL} --out {{prose}}": "--out {prose} is a file: a folder would be accepted",
    # What typer itself refuses.
    "inspect rope": "Missing option '--length' / '-n'.",
    "generate": "Missing argument 'CHECKPOINT'.",
    "--frobnicate": "No such option: --frobnicate",
}


@pytest.fixture(scope="module")
def places(checkpoint: Path, prose: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The names in braces of the table."""
    base = tmp_path_factory.mktemp("bad")
    config = checkpoint / "config.json"
    folders = {name: base / name for name in ("empty", "pickled", "untokenised", "untemplated")}
    for folder in folders.values():
        folder.mkdir()
    shutil.copy(config, folders["pickled"])
    (folders["pickled"] / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    shutil.copytree(checkpoint, folders["pickled"], dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors"))
    shutil.copytree(checkpoint, folders["untokenised"], dirs_exist_ok=True, ignore=shutil.ignore_patterns("tokenizer*"))
    shutil.copytree(checkpoint, folders["untemplated"], dirs_exist_ok=True)
    settings = json.loads((checkpoint / "tokenizer_config.json").read_text())
    del settings["chat_template"]
    (folders["untemplated"] / "tokenizer_config.json").write_text(json.dumps(settings))
    Sample(random_model("Llama")).write(base / "model.gguf")
    (base / "latin1.txt").write_bytes("caf\xe9 au lait".encode("latin-1"))
    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return {
        **{name: str(folder) for name, folder in folders.items()},
        "model": str(checkpoint),
        "prose": str(prose),
        "gguf": str(base / "model.gguf"),
        "latin1": str(base / "latin1.txt"),
        "fresh": str(base / "fresh"),
        "devices": ", ".join(["auto", "cpu", *found]),
    }


@pytest.mark.parametrize("line", TABLE)
def test_one_sentence_and_exit_code_2(lampe: Lampe, places: Mapping[str, str], line: str) -> None:
    arguments = [argument.format_map(places) for argument in line.split()]
    result = lampe(*arguments, text="hello\n" if line.startswith("chat") else "")
    assert (result.stderr, result.stdout) == (f"error: {TABLE[line].format_map(places)}\n", "")
    assert result.exit_code == 2


def test_nothing_was_written(lampe: Lampe, places: Mapping[str, str]) -> None:
    lampe("convert", places["prose"], places["fresh"])
    assert not Path(places["fresh"]).exists()
