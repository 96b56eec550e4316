"""The harness's own model beside lampe's, on one small checkpoint."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.evaluation.tiny import checkpoint

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('no system turns here') }}{% endif %}"
    "[{{ message['role'] }}] {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def make(folder: Path, *, bos: bool = False) -> Path:
    """A checkpoint that transformers loads by name too; its tokenizer has a BOS, and adds it if `bos` says so."""
    checkpoint(folder, bos=bos)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "#",  # config.json says so too: its id is 2
        "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def reference(folder: Path, **arguments: Any) -> Any:
    """The harness's model of transformers, in fp32."""
    if "accelerate" not in sys.modules and importlib.util.find_spec("accelerate") is None:
        _stand_in_for_accelerate()
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32", attn_implementation="eager").eval()
    return HFLM(pretrained=model, tokenizer=str(folder), **arguments)


def _stand_in_for_accelerate() -> None:
    """HFLM imports accelerate; on one device, with a model that is already loaded, it calls nothing of it."""
    package, utils = ModuleType("accelerate"), ModuleType("accelerate.utils")
    for name in ("Accelerator", "InitProcessGroupKwargs", "find_executable_batch_size"):
        setattr(package, name, None)
    utils.get_max_memory = None  # type: ignore[attr-defined]
    sys.modules.update({"accelerate": package, "accelerate.utils": utils})


def requests(kind: str, *arguments: tuple[Any, ...]) -> list[Any]:
    """Requests as the harness hands them to a model."""
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, each, index) for index, each in enumerate(arguments)]  # type: ignore[arg-type]
