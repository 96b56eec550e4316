"""Runs samples under one method, and blocks of samples under several."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product

import torch
from torch import Tensor

from lampe.digest import code_digest
from lampe.errors import ConfigError, TokenizerError
from lampe.evaluation.base import Outcome, Record, Sample, Setting, Task
from lampe.evaluation.budget import Budget, Work
from lampe.generation import generate, room
from lampe.llm import LLM, PositionalSpec
from lampe.models.cache import KVCache
from lampe.sampling import Sampling
from lampe.tokenizers import Tokenizer


class Runner:
    """A model under one method.

    The tokens that several samples share (`Sample.shared`) are read once, and each sample goes on from a copy of their
    keys and values, if its plan agrees with theirs on those tokens. A score is the same whatever ran before.

    Args:
        llm: the model, bound to its method.
        label: how tables and plots call the method.
        model: name or folder of the checkpoint, for the records.
    """

    def __init__(self, llm: LLM, label: str, *, model: str = ""):
        self.llm = llm
        self.label = label
        origin = llm.config.rope.origin
        weight = llm.model.model.embed_tokens.weight
        self.setting = Setting(
            label=label,
            positional=llm.positional.described(),
            model=model,
            fingerprint=origin.fingerprint if origin else None,
            tokenizer=llm.tokenizer.fingerprint if llm.tokenizer else None,
            template=llm.tokenizer.template_fingerprint if llm.tokenizer else None,
            dtype=str(weight.dtype).removeprefix("torch."),
            device=str(weight.device),
            attention=llm.engine.backend.config.model_dump(mode="json"),
            prefill_chunk=llm.engine.prefill_chunk,
            threads=torch.get_num_threads() if weight.device.type == "cpu" else None,
            lampe=lampe_version(),
            torch=str(torch.__version__),
            method_code=code_digest(type(llm.positional)),
        )
        self._held: _Held | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the model."""
        if self.llm.tokenizer is None:
            raise TokenizerError("tasks are measured on text, and this model was made without a tokenizer")
        return self.llm.tokenizer

    def run(self, sample: Sample) -> Record:
        """Measure a sample.

        Raises:
            ConfigError: the task's `measure` returns no `Outcome`.
        """
        began = time.perf_counter()
        outcome = sample.task.measure(self, sample)
        if not isinstance(outcome, Outcome):
            raise ConfigError(f"task {sample.task.name!r}: measure returns {outcome!r}; an Outcome would be accepted")
        return Record(
            name=sample.task.name,
            task=sample.task.config.model_dump(mode="json"),
            setting=self.setting,
            length=sample.length,
            trial=sample.trial,
            facts=dict(sample.facts),
            tokens=len(sample.ids),
            prompt_sha256=hashlib.sha256(self.tokenizer.decode(sample.ids).encode()).hexdigest(),
            templated=sample.templated,
            new_tokens=sample.new_tokens,
            references=sample.references,
            output=outcome.output,
            score=outcome.score,
            task_code=code_digest(type(sample.task)),
            seconds=time.perf_counter() - began,
        )

    def logits(self, ids: Sequence[int], *, last: int, shared: int = 0) -> Tensor:
        """Logits of the `last` last tokens, [last, vocab_size], under a plan for all of them.

        Args:
            ids: the whole context.
            last: how many.
            shared: as in `Sample`.
        """
        ids = list(ids)
        cache, read = self._begin(ids, 0, min(shared, len(ids) - last))
        return self.llm.engine.forward(torch.tensor([ids[read:]]), cache, last=last)[0]

    def generate(self, ids: Sequence[int], max_new_tokens: int, *, shared: int = 0) -> list[int]:
        """The most likely next tokens, under a plan for the whole prompt.

        Args:
            ids: the whole prompt.
            max_new_tokens: how many at most; a token that ends an answer ends them.
            shared: as in `Sample`.
        """
        ids = list(ids)
        cache, read = self._begin(ids, max_new_tokens, min(shared, len(ids) - 1))
        pieces = generate(
            self.llm.engine,
            [ids[read:]],
            Sampling(max_new_tokens=max_new_tokens),
            end_ids=self.llm.end_ids,
            cache=cache,
            contexts=[ids[:read]],
        )
        return [piece.token for piece in pieces if piece.token is not None]

    def answer(self, sample: Sample) -> str:
        """The text that the model makes of a sample's prompt.

        Raises:
            ConfigError: the sample leaves no room for an answer.
        """
        if sample.new_tokens < 1:
            raise ConfigError(
                f"task {sample.task.name!r}: new_tokens = {sample.new_tokens} leaves no room for an answer; at least 1 "
                "would be accepted"
            )
        return self.tokenizer.decode(self.generate(sample.ids, sample.new_tokens, shared=sample.shared))

    def forget(self) -> None:
        """Give the memory of the kept keys and values back."""
        self._held = None

    def _begin(self, ids: list[int], budget: int, shared: int) -> tuple[KVCache, int]:
        """A cache under the prompt's plan with room for it and `budget` more, and how many of its tokens it holds."""
        engine = self.llm.engine
        engine.check_prompt(ids)
        if shared <= 0:
            self._held = None
            return engine.cache([len(ids)], budget), 0
        plan = engine.plans([len(ids)], budget)[len(ids)]
        held = self._held
        if held is None or held.ids != ids[:shared] or not plan.agrees_with(held.cache.rows[0].plan, shared):
            self._held = None
            cache = engine.cache([len(ids)], budget)
            engine.forward(torch.tensor([ids[:shared]]), cache, last=1)
            self._held = held = _Held(ids[:shared], cache)
        cache = held.cache.copy(room(len(ids), budget))
        cache.replan([plan])
        return cache, shared


@dataclass(frozen=True)
class _Held:
    """Tokens that several samples begin with, and the cache that holds them."""

    ids: list[int]
    cache: KVCache


def run_blocks(
    runners: Sequence[Runner],
    blocks: Iterable[Sequence[Sample]],
    *,
    budget: Budget | None = None,
    started: Callable[[Runner, Sample], None] | None = None,
) -> Iterator[Record]:
    """Measure blocks of samples under every method, and yield each record as it is made.

    Samples of one trial and length run one after another under one method before the next method takes them, so that
    they share a prefix and one cache is held at a time.

    Args:
        runners: one for each method.
        blocks: samples that are worth measuring only together, for they will be compared.
        budget: a block that does not fit is left out, and ended early where the guess was wrong; None runs all.
        started: called before each measurement.
    """
    for block in blocks:
        works = block_work(block)
        if budget is None or budget.admits((runner.label, work) for runner in runners for work in works):
            yield from _run_block(runners, list(zip(block, works, strict=True)), budget, started)


def _run_block(
    runners: Sequence[Runner],
    block: Sequence[tuple[Sample, Work]],
    budget: Budget | None,
    started: Callable[[Runner, Sample], None] | None,
) -> Iterator[Record]:
    groups = [list(group) for _, group in groupby(block, key=lambda item: (item[0].trial, item[0].length))]
    for group, runner in product(groups, runners):
        try:
            for sample, work in group:
                if budget and not budget.admits([(runner.label, work)]):
                    return
                if started:
                    started(runner, sample)
                record = runner.run(sample)
                if budget:
                    budget.observe(runner.label, work, record.seconds)
                yield record
        finally:
            runner.forget()


def block_work(block: Sequence[Sample]) -> list[Work]:
    """The work of each sample of a block under one method, when neighbours share what they begin with."""
    works = []
    held: tuple[int, list[int]] | None = None
    for sample in block:
        begin = (len(sample.ids), list(sample.ids[: sample.shared])) if sample.shared else None
        read = sample.shared if begin is not None and begin == held else 0
        works.append(Work.between(read, len(sample.ids), sample.new_tokens))
        held = begin
    return works


def evaluate(
    llm: LLM,
    methods: Mapping[str, PositionalSpec],
    task: Task,
    lengths: Sequence[int],
    *,
    model: str = "",
    started: Callable[[Runner, Sample], None] | None = None,
) -> Iterator[Record]:
    """Measure one task at several lengths under several methods; trial by trial, so that a cut run is still fair.

    Args:
        llm: the model; it is left as it is.
        methods: label to positional spec.
        lengths: in tokens.
        model: name or folder of the checkpoint, for the records.
        started: called before each measurement.

    Yields:
        A record for each method and sample.

    Raises:
        ConfigError: a method, a length, the text or what the task makes of it does not do.
    """
    runners = [Runner(llm.with_positional(spec), label, model=model) for label, spec in methods.items()]
    samples = list(task.samples(runners[0].tokenizer, lengths)) if runners else []
    for sample in samples:
        sample.check()
    blocks = [list(block) for _, block in groupby(samples, key=lambda sample: (sample.trial, sample.length))]
    yield from run_blocks(runners, blocks, started=started)


def lampe_version() -> str:
    """The version of lampe, for records."""
    import lampe

    return str(lampe.__version__)
