"""The model that the harness sees."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window, simple_parse_args_string
from tqdm import tqdm  # type: ignore[import-untyped]

from lampe.cli.specs import spec_text
from lampe.errors import ConfigError, TokenizerError
from lampe.evaluation.runner import Runner
from lampe.generation import generate
from lampe.integrations.lm_eval.arguments import Arguments, sampling_of
from lampe.integrations.lm_eval.scoring import score
from lampe.registry import validate
from lampe.sampling import Sampling
from lampe.tokenizers import Tokenizer

logger = logging.getLogger(__name__)

Pair = tuple[tuple[str, str] | None, list[int], list[int]]
"""A request for the harness's cache, or None; ids of the context; ids of the continuation."""


class LampeLM(TemplateLM):  # type: ignore[misc]
    """lampe as a model of the lm-evaluation-harness.

    Every request has a plan for its own length, whatever else is in its batch: only requests of the same length are
    scored in one pass, and answers are generated together after each prompt was read by itself. What is sampled
    (do_sample) is drawn from torch's global generator, which the harness seeds.

    Args:
        arguments: the fields of `Arguments`.

    Raises:
        ConfigError: a field is unknown, or its value is not accepted.
    """

    def __init__(self, **arguments: Any):
        super().__init__()
        self.arguments = validate(Arguments, arguments, "model_args")
        self.llm = self.arguments.load()
        assert self.llm.tokenizer is not None
        self.tokenizer: Tokenizer = self.llm.tokenizer
        self.batch_size = self.arguments.batch_size
        self.max_gen_toks = self.arguments.max_gen_toks
        self.max_length = self.arguments.max_length or self.arguments.for_length or self.llm.config.rope.max_position
        self._device = self.llm.model.model.embed_tokens.weight.device
        if self.arguments.add_bos_token and self.tokenizer.bos_id is None:
            raise ConfigError("add_bos_token = True: the tokenizer of this checkpoint has no BOS; leave it out")

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: Mapping[str, Any], additional_config: Mapping[str, Any] | None = None
    ) -> LampeLM:
        """The model of --model_args, which go before the options that the harness fills in where nobody chose."""
        stated = {name: value for name, value in (additional_config or {}).items() if value is not None}
        return cls(**{**stated, **arg_dict})

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: Mapping[str, Any] | None = None) -> LampeLM:
        """As `create_from_arg_obj`, from field=value,field=value."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        ends = (*self.tokenizer.eos_ids, *self.llm.end_ids)
        if not ends:
            raise TokenizerError("neither config.json nor the tokenizer's files say which token ends a text")
        return ends[0]

    @property
    def prefix_token_id(self) -> int:
        """The token before a text that has no context."""
        return self.eot_token_id if self.tokenizer.bos_id is None else self.tokenizer.bos_id

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """Ids of a text; a BOS that it begins with, as chat templates write it, is not doubled.

        Special tokens are found in any text: a prompt that went through a chat template comes as text. An EOS that the
        tokenizer closes texts with is left out, which the harness's own model does not do: every text here is one that
        goes on, and an EOS between a context and its continuation would make another continuation of it.
        """
        add = self.arguments.add_bos_token if add_special_tokens is None else add_special_tokens
        if add is False:
            return self.tokenizer.encode(string, add_special=False, parse_special=True)
        ids = self.tokenizer.encode_prompt(string, parse_special=True)
        bos = self.tokenizer.bos_id
        if add_special_tokens is None and add and bos is not None and ids[:1] != [bos]:
            return [bos, *ids]
        return ids

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole texts, in windows of max_length tokens that each predict what none before did.

        A text begins with BOS once, and it is not predicted.
        """
        pairs: list[Pair] = []
        owners = []
        for owner, request in enumerate(requests):
            ids = self.tok_encode(request.args[0], add_special_tokens=False)
            if ids[:1] == [self.prefix_token_id]:
                ids = ids[1:]
            windows = get_rolling_token_windows(ids, self.prefix_token_id, self.max_length, context_len=1)
            for context, continuation in map(make_disjoint_window, windows):
                pairs.append((None, context, continuation))
                owners.append(owner)
        totals = [0.0] * len(requests)
        for owner, (logprob, _) in zip(owners, self._loglikelihood_tokens(pairs, disable_tqdm), strict=True):
            totals[owner] += logprob
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def _loglikelihood_tokens(
        self, requests: Sequence[Pair], disable_tqdm: bool = False, **kwargs: Any
    ) -> list[tuple[float, bool]]:
        # Requests that differ in their last token alone, such as the letters of a multiple choice, share a row.
        rows: dict[tuple[int, ...], list[int]] = defaultdict(list)
        cut = 0
        for index, (_, context, continuation) in enumerate(requests):
            if not 0 < len(continuation) <= self.max_length:
                raise ConfigError(
                    f"a continuation of {len(continuation)} tokens cannot be scored: between 1 and "
                    f"max_length = {self.max_length} can"
                )
            # A context of nothing but space has gone into the continuation.
            whole = [*(context or [self.prefix_token_id]), *continuation]
            self.llm.engine.check_prompt(whole)
            cut += len(whole) > self.max_length + 1
            rows[tuple(whole[-(self.max_length + 1) : -1])].append(index)
        self._warn_of(cut, len(requests), f"max_length = {self.max_length}")

        answers: dict[int, tuple[float, bool]] = {}
        with tqdm(total=len(requests), disable=disable_tqdm, desc="Running loglikelihood requests") as bar:
            for batch in self._batches(rows):
                last = max(len(requests[index][2]) for row in batch for index in rows[row])
                scores = score(self.llm.engine, torch.tensor(batch), last)
                for place, row in enumerate(batch):
                    for index in rows[row]:
                        text, _, continuation = requests[index]
                        answers[index] = scores.of(place, continuation)
                        if text is not None:
                            self.cache_hook.add_partial("loglikelihood", text, answers[index])
                        bar.update()
        return [answers[index] for index in range(len(requests))]

    def _batches(self, rows: Iterable[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
        """Rows of the same length, the longest first, so that memory that does not suffice shows at once."""
        batch: list[tuple[int, ...]] = []
        for row in sorted(rows, key=lambda row: (-len(row), row)):
            if batch and (len(batch) == self.batch_size or len(row) != len(batch[0])):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """The answers to prompts, each cut before the first of its stop strings."""
        groups: dict[str, list[int]] = defaultdict(list)
        for index, request in enumerate(requests):
            groups[json.dumps(request.args[1], sort_keys=True, default=str)].append(index)
        answers = [""] * len(requests)
        with tqdm(total=len(requests), disable=disable_tqdm, desc="Running generate_until requests") as bar:
            for members in groups.values():
                sampling = sampling_of(requests[members[0]].args[1], self.max_gen_toks)
                room = self.max_length - sampling.max_new_tokens
                if room < 1:
                    raise ConfigError(
                        f"max_gen_toks = {sampling.max_new_tokens}: a prompt of one token and the answer need more "
                        f"than max_length = {self.max_length}; fewer than that would be accepted"
                    )
                prompts = {index: self.tok_encode(requests[index].args[0]) for index in members}
                cut = sum(len(ids) > room for ids in prompts.values())
                self._warn_of(cut, len(members), f"max_length - max_gen_toks = {room}")
                members = sorted(members, key=lambda index: -len(prompts[index]))
                for begin in range(0, len(members), self.batch_size):
                    batch = members[begin : begin + self.batch_size]
                    ids = [prompts[index][-room:] or [self.prefix_token_id] for index in batch]
                    for index, answer in zip(batch, self._answers(ids, sampling), strict=True):
                        answers[index] = answer
                        self.cache_hook.add_partial("generate_until", requests[index].args, answer)
                    bar.update(len(batch))
        return answers

    def _answers(self, prompts: Sequence[list[int]], sampling: Sampling) -> list[str]:
        answers = [""] * len(prompts)
        for ids in prompts:
            self.llm.engine.check_prompt(ids)
        end_ids = self.llm.end_ids
        for piece in generate(self.llm.engine, prompts, sampling, end_ids=end_ids, tokenizer=self.tokenizer):
            answers[piece.row] += piece.text
        return answers

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A conversation as the checkpoint writes it, as text.

        Args:
            chat_history: role and content of every turn.
            add_generation_prompt: end with the opening of the assistant's turn; False leaves the last turn open.

        Raises:
            TokenizerError: there is no template, or it refuses the turns, without a system turn too.
        """
        try:
            return self._templated(chat_history, add_generation_prompt)
        except TokenizerError:
            turns = [turn for turn in chat_history if turn["role"] != "system"]
            if turns == chat_history:
                raise
            logger.warning("the chat template refuses these turns; the system turn is left out")
            return self._templated(turns, add_generation_prompt)

    def _templated(self, turns: Sequence[Mapping[str, str]], add_generation_prompt: bool) -> str:
        if self.tokenizer.chat_template is None:
            raise TokenizerError(
                f"--apply_chat_template: {self.arguments.pretrained} has no chat template; leave the option out"
            )
        thinking = self.arguments.enable_thinking
        variables = {} if thinking is None else {"enable_thinking": thinking}
        return self.tokenizer.render_chat(
            turns,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
            **variables,
        )

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The text of the chat template, for the results; None where none is applied.

        Raises:
            ConfigError: a template other than "default" is asked for.
        """
        if not chat_template:
            return None
        if chat_template not in (True, "default"):
            raise ConfigError(
                f"--apply_chat_template {chat_template}: only the checkpoint's default one can be applied"
            )
        return self.tokenizer.chat_template.text if self.tokenizer.chat_template else None

    @property
    def tokenizer_name(self) -> str:
        """What a cached request depends on: the tokenizer's files, its chat template among them."""
        return f"{Path(self.arguments.pretrained).name}-{self.tokenizer.fingerprint[:16]}"

    def get_model_info(self) -> dict[str, Any]:
        """What made the scores; the harness writes it into the results."""
        label = spec_text(self.llm.positional.config)
        setting = Runner(self.llm, label, model=self.arguments.pretrained).setting
        return {
            "model_num_parameters": sum(parameter.numel() for parameter in self.llm.model.parameters()),
            "model_dtype": setting.dtype,
            "model_revision": self.arguments.revision,
            "max_length": self.max_length,
            "lampe": setting.model_dump(mode="json"),
        }

    def _warn_of(self, cut: int, of: int, limit: str) -> None:
        if cut:
            logger.warning(f"{cut} of {of} requests have more than {limit} tokens and lose their beginning")
