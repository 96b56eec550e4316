"""What --model_args and a task's generation_kwargs may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from lm_eval.models.utils import normalize_gen_kwargs
from pydantic import BaseModel, ConfigDict, Field, field_validator

from lampe import attention as attention_backends
from lampe import positional as positional_methods
from lampe.cli.specs import parse_spec
from lampe.config import FrozenModel
from lampe.llm import LLM
from lampe.registry import Registry, validate
from lampe.sampling import FILTERS, Sampling

T = TypeVar("T")


class Arguments(FrozenModel):
    """The fields of --model_args, and what the harness adds to them.

    Attributes:
        pretrained: a checkpoint folder, or a model of the Hugging Face hub.
        positional: replaces the method the checkpoint was made with: name, name:field=value:..., JSON, or a .json file.
        for_length: sets the fields of the method that depend on the length (factor, group, ...) for so many tokens.
        max_length: longer requests lose their beginning; None is for_length, or else what the checkpoint says it takes.
        max_gen_toks: how long an answer may be where the task does not say.
        add_bos_token: begin every request with BOS; None does as the checkpoint's tokenizer does.
        enable_thinking: given to the chat template, for those that ask for it; None leaves it out.
        dtype: as in `LLM.load`; so are attention, prefill_chunk, revision and offline.
        device: as in `LLM.load`; "cuda" is "auto" where there is none.
        batch_size: how many requests run at once; "auto" is 1.
        max_batch_size: of "auto"; without effect.
        trust_remote_code: of data sets; lampe runs no code of a checkpoint.
    """

    # The harness turns whatever looks like a number into one, a folder called 7 too.
    model_config = ConfigDict(coerce_numbers_to_str=True)

    pretrained: str
    positional: str | dict[str, Any] | None = None
    for_length: int | None = Field(default=None, ge=1)
    max_length: int | None = Field(default=None, ge=2)
    max_gen_toks: int = Field(default=256, ge=1)
    add_bos_token: bool | None = None
    enable_thinking: bool | None = None
    dtype: str = "auto"
    device: str = "auto"
    attention: str | dict[str, Any] = "auto"
    prefill_chunk: int = Field(default=4096, ge=1)
    revision: str | None = None
    offline: bool | None = None
    batch_size: int = Field(default=1, ge=1)
    max_batch_size: int | None = None
    trust_remote_code: bool = False

    @field_validator("batch_size", mode="before")
    @classmethod
    def _auto_is_one(cls, value: Any) -> Any:
        return 1 if isinstance(value, str) and value.partition(":")[0] == "auto" else value

    @field_validator("device")
    @classmethod
    def _no_accelerator(cls, value: str) -> str:
        # The harness's command says cuda:0 where nobody chose a device.
        return "auto" if value.startswith("cuda") and not torch.cuda.is_available() else value

    def load(self) -> LLM:
        """The checkpoint under its method."""
        llm = LLM.load(
            self.pretrained,
            positional=None if self.positional is None else _config(positional_methods.registry, self.positional),
            dtype=self.dtype,
            device=self.device,
            attention=attention_backends.create(_config(attention_backends.registry, self.attention)),
            prefill_chunk=self.prefill_chunk,
            revision=self.revision,
            offline=self.offline,
        )
        if self.for_length is None:
            return llm
        return llm.with_positional(llm.positional.for_length(self.for_length))


def sampling_of(gen_kwargs: Mapping[str, Any], max_gen_toks: int) -> Sampling:
    """The generation_kwargs of a task as lampe's rules.

    Nothing is taken from the checkpoint's generation_config.json, and where a task samples no top-k is assumed.

    Args:
        gen_kwargs: until, max_gen_toks (or one of its other names), do_sample, temperature, and fields of `Sampling`.
        max_gen_toks: where they do not say.

    Raises:
        ConfigError: a field is unknown, or its value is not accepted.
    """
    # A null in a task's file is a temperature that it does not state; the harness makes a number of it.
    stated = {name: value for name, value in gen_kwargs.items() if name != "temperature" or value is not None}
    fields: dict[str, Any] = dict(normalize_gen_kwargs(stated, max_gen_toks))
    sampled = fields.pop("do_sample")
    temperature = fields.pop("temperature", 0.0)
    stop = tuple(text for text in fields.pop("until") if text)
    if fields.get("num_beams") == 1:
        del fields["num_beams"]
    rules = {
        "stop": stop,
        "max_new_tokens": fields.pop("max_gen_toks"),
        "temperature": temperature if sampled else 0.0,
    }
    if not rules["temperature"]:
        # Tasks state them beside do_sample = false, as transformers lets them.
        fields = {name: value for name, value in fields.items() if name not in FILTERS}
    return validate(Sampling, {**fields, **rules}, "generation_kwargs")


def _config(registry: Registry[T], spec: str | Mapping[str, Any]) -> BaseModel:
    return parse_spec(registry, spec) if isinstance(spec, str) else registry.config(spec)
