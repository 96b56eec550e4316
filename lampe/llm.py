"""The facade: a checkpoint, its tokenizer, a positional method, and what one does with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, overload

import torch
from pydantic import BaseModel
from torch import Tensor

from lampe import attention as attention_backends
from lampe import positional as positional_methods
from lampe.attention import AttentionBackend
from lampe.checkpoint import checkpoint_dtype, fingerprint, load_weights, read_config, resolve, save_checkpoint
from lampe.config import ModelConfig
from lampe.errors import ConfigError, TokenizerError
from lampe.files import expanded, write_whole
from lampe.generation import Engine, generate
from lampe.models.product import packing_fits
from lampe.models.transformer import Transformer
from lampe.positional import PositionalEncoding
from lampe.positional.profile import BESIDE
from lampe.registry import validate
from lampe.sampling import Sampling
from lampe.session import Session
from lampe.tokenizers import Message, Tokenizer, load_tokenizer
from lampe.tokenizers.chat import checked_variables
from lampe.tokenizers.files import TokenizerFiles

PositionalSpec = str | Mapping[str, Any] | BaseModel | PositionalEncoding | type[PositionalEncoding] | None
"""A name, a mapping with `kind`, a config, a method or its class, or None for what the checkpoint was made with."""

PROMPTS = "a text, token ids, or a list of either"

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class LLM:
    """A language model with an interchangeable positional method.

    Use `LLM.load`; the constructor takes the parts.

    Args:
        model: the decoder with its weights.
        tokenizer: None for a model that is only given token ids.
        positional: the method; None is what the checkpoint was made with.
        attention: the backend, by name, config or object.
        prefill_chunk: tokens of a prompt that pass through the layers at once.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer | None = None,
        *,
        positional: PositionalSpec = None,
        attention: str | Mapping[str, Any] | AttentionBackend = "auto",
        prefill_chunk: int = 4096,
    ):
        self.model = model
        self.tokenizer = tokenizer
        if not isinstance(attention, AttentionBackend):
            attention = attention_backends.create(attention)
        if prefill_chunk < 1:
            raise ConfigError(f"prefill_chunk = {prefill_chunk}: expected at least 1 token")
        self.engine = Engine(model, bind(positional, model.config), attention, prefill_chunk)

    @classmethod
    def load(
        cls,
        name_or_folder: str | Path,
        *,
        positional: PositionalSpec = None,
        dtype: str | torch.dtype = "auto",
        device: str | torch.device = "auto",
        attention: str | Mapping[str, Any] | AttentionBackend = "auto",
        prefill_chunk: int = 4096,
        pack: bool | Literal["auto"] = "auto",
        tokenizer: bool = True,
        revision: str | None = None,
        offline: bool | None = None,
    ) -> LLM:
        """Load a checkpoint folder, or a model of the Hugging Face hub (extra `hub`).

        Args:
            name_or_folder: a folder with config.json and safetensors, or a hub name such as "org/model".
            positional: replaces the method the checkpoint was made with.
            dtype: "auto" (that of the file), "float32", "bfloat16", "float16", or a torch dtype.
            device: "auto" takes an accelerator where there is one.
            attention: backend name or config.
            prefill_chunk: tokens of a prompt that pass through the layers at once; bounds memory, changes no logits.
            pack: keep a second copy of the linear layers' weights in the layout that a CPU reads fastest, made in the
                first pass; "auto" does so on a CPU where the copy takes at most a quarter of the memory.
            tokenizer: False loads none, for a checkpoint without tokenizer files that is only given token ids.
            revision: of the hub model.
            offline: use only what the hub cache holds; None leaves it to huggingface_hub.

        Raises:
            CheckpointError: the folder cannot be loaded as it stands.
            ConfigError: its config.json, or an argument, names something unknown.
            TokenizerError: its tokenizer files cannot be used.
        """
        folder = resolve(name_or_folder, revision=revision, offline=offline)
        config = read_config(folder)
        # Everything that can be refused is refused before the weights are read.
        bind(positional, config)
        torch_device = _device(device)
        torch_dtype = checkpoint_dtype(folder) if dtype == "auto" else _dtype(dtype)
        text = load_tokenizer(folder) if tokenizer else None
        with torch.device("meta"):
            model = Transformer(config)
        load_weights(model, folder, dtype=torch_dtype, device=torch_device)
        if pack == "auto":
            pack = torch_device.type == "cpu" and packing_fits(list(model.parameters()))
        model.pack(pack)
        return cls(model.eval(), text, positional=positional, attention=attention, prefill_chunk=prefill_chunk)

    @property
    def config(self) -> ModelConfig:
        """The shape of the model."""
        return self.model.config

    @property
    def positional(self) -> PositionalEncoding:
        """The positional method, bound to the model."""
        return self.engine.positional

    @property
    def end_ids(self) -> tuple[int, ...]:
        """The tokens that end an answer, by the checkpoint's config and its tokenizer."""
        return (*self.config.eos_token_ids, *(self.tokenizer.eos_ids if self.tokenizer else ()))

    def with_positional(self, positional: PositionalSpec) -> LLM:
        """The same weights and tokenizer under another method; this model is left as it is."""
        return LLM(
            self.model,
            self.tokenizer,
            positional=positional,
            attention=self.engine.backend,
            prefill_chunk=self.engine.prefill_chunk,
        )

    def save(self, folder: str | Path) -> None:
        """Write config.json, generation_config.json, safetensors and tokenizer files.

        transformers reads them, and `LLM.load`; what lies in the folder of another checkpoint is removed. The
        positional method is not saved: a config.json states what a checkpoint was made with, and a method is chosen
        when it is loaded. A profile of LaMPE beside the checkpoint goes along while the weights are the same.
        """
        save_checkpoint(self.model.state_dict(), self.config, folder)
        path, origin = expanded(folder), self.config.rope.origin
        if self.tokenizer is not None:
            self.tokenizer.save(path)
        elif origin is None or path.resolve() != Path(origin.folder).resolve():
            TokenizerFiles(path, {}).write(path)  # removes those of another checkpoint
        self._save_profile(path)

    def _save_profile(self, folder: Path) -> None:
        """Take LaMPE's profile along that lies beside the checkpoint, if it is still that of these weights."""
        origin, there = self.config.rope.origin, folder / BESIDE
        here = None if origin is None else Path(origin.folder) / BESIDE
        if here and origin and here.is_file() and fingerprint(folder) == origin.fingerprint:
            write_whole(there, here.read_bytes())
        else:
            there.unlink(missing_ok=True)

    def logits(self, ids: Tensor | Sequence[Sequence[int]], *, last: int | None = None) -> Tensor:
        """Logits of token ids.

        Args:
            ids: [b, t]; every row has its own plan for t tokens.
            last: only those of so many last positions; None for all t.

        Returns:
            [b, last, vocab_size], of the weights' dtype. They carry no gradients of the model.

        Raises:
            ValueError: the ids are no table of known ones, or `last` is not from 1 to t.
        """
        ids = torch.as_tensor(ids)
        if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
            raise ValueError(f"ids of {ids.dtype}: expected whole numbers")
        ids = ids.to(torch.int64)
        if ids.ndim != 2 or 0 in ids.shape:
            raise ValueError(f"ids {list(ids.shape)}: expected [batch, length] with at least one token")
        self.engine.check_prompt(ids.flatten().tolist())
        last = ids.shape[1] if last is None else last
        if not 1 <= last <= ids.shape[1]:
            raise ValueError(f"last = {last}: expected 1 to {ids.shape[1]}, the tokens of a row")
        return self.engine.logits(ids, self.engine.cache([ids.shape[1]] * ids.shape[0]), last=last)

    @overload
    def generate(self, prompt: Any, *, stream: Literal[True], **sampling: Any) -> Iterator[Any]: ...
    @overload
    def generate(self, prompt: str, *, stream: Literal[False] = ..., **sampling: Any) -> str: ...
    @overload
    def generate(
        self, prompt: Sequence[int] | Tensor, *, stream: Literal[False] = ..., **sampling: Any
    ) -> list[int]: ...
    @overload
    def generate(self, prompt: Sequence[str], *, stream: Literal[False] = ..., **sampling: Any) -> list[str]: ...
    @overload
    def generate(
        self, prompt: Sequence[Sequence[int]], *, stream: Literal[False] = ..., **sampling: Any
    ) -> list[list[int]]: ...
    def generate(self, prompt: Any, *, stream: bool = False, **sampling: Any) -> Any:
        """Continue one prompt or many; each is what it would be alone.

        Args:
            prompt: text, token ids, or a list of either. Text is encoded with the BOS that its tokenizer adds; an EOS
                is left out, as the text goes on.
            stream: return an iterator instead: of text for one text, of `Piece` for token ids or many prompts.
            sampling: the fields of `lampe.Sampling`: max_new_tokens, temperature, top_k, top_p, min_p,
                repetition_penalty, seed, stop, ignore_eos.

        Returns:
            The new text for text, the new ids for ids, a list for a list. Text ends before a stop string; the ids are
            all that were made, those of the stop string too.
        """
        rules = validate(Sampling, sampling, "generate")
        many, texts, prompts = self._prompts(prompt)
        pieces = generate(self.engine, prompts, rules, end_ids=self.end_ids, tokenizer=self.tokenizer, at_start=False)
        if stream:
            return (piece.text for piece in pieces if piece.text) if texts and not many else pieces
        answers: list[Any] = ["" for _ in prompts] if texts else [[] for _ in prompts]
        for piece in pieces:
            if texts:
                answers[piece.row] += piece.text
            elif piece.token is not None:
                answers[piece.row].append(piece.token)
        return answers if many else answers[0]

    def chat(
        self,
        messages: Sequence[Message | Mapping[str, Any]],
        *,
        session: Session | None = None,
        stream: bool = False,
        variables: Mapping[str, Any] | None = None,
        **sampling: Any,
    ) -> str | Iterator[str]:
        """The assistant's next answer, through the checkpoint's chat template.

        Args:
            messages: role and content of every turn so far.
            session: of this very model and method; it keeps the turns that it has read, and only what is new is read.
                None reads all of them.
            stream: return an iterator of text.
            variables: what else the chat template reads, e.g. {"enable_thinking": False} or {"tools": [...]}.
            sampling: as in `generate`.

        Raises:
            ValueError: the session is of another model or method.
            TokenizerError: there is no tokenizer or no chat template, or it refuses the messages.
        """
        if session is None:
            session = self.session()
        elif session.engine is not self.engine or session.tokenizer is not self.tokenizer:
            raise ValueError("the session belongs to another model or method; `session()` of this one makes its own")
        ids = self.chat_ids(messages, variables)
        rules = validate(Sampling, sampling, "chat")
        pieces = session.generate(ids, rules, at_start=True)
        text = (piece.text for piece in pieces if piece.text)
        return text if stream else "".join(text)

    def chat_ids(
        self, messages: Sequence[Message | Mapping[str, Any]], variables: Mapping[str, Any] | None = None
    ) -> list[int]:
        """A conversation through the chat template, up to where the assistant begins; arguments as in `chat`.

        Raises:
            TokenizerError: there is no tokenizer or no chat template, or it refuses messages or variables.
        """
        return self._tokenizer.encode_chat(messages, **checked_variables(variables))

    def session(self, *, exact: bool = False) -> Session:
        """A growing sequence of token ids that keeps its keys and values from prompt to prompt.

        Args:
            exact: where the plan of a longer prompt disagrees with that of the held tokens, read all of it again
                instead of rotating the cached keys.
        """
        return Session(self.engine, exact=exact, end_ids=self.end_ids, tokenizer=self.tokenizer)

    @property
    def _tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            raise TokenizerError("this needs a tokenizer, and the model was made without one")
        return self.tokenizer

    def _prompts(self, prompt: Any) -> tuple[bool, bool, list[list[int]]]:
        """Whether there are many prompts, whether they are text, and their ids."""
        prompt = _listed(prompt)
        if not isinstance(prompt, str) and len(prompt) == 0:
            raise ValueError(f"there is no prompt: {PROMPTS} would be accepted")
        many = not isinstance(prompt, str) and not isinstance(prompt[0], Real)
        rows = list(prompt) if many else [prompt]
        texts = isinstance(rows[0], str)
        if any(isinstance(row, str) != texts for row in rows):
            raise ValueError("prompts are all text or all token ids, not both")
        encoded = [self._tokenizer.encode_prompt(row) if isinstance(row, str) else _ids(row) for row in rows]
        for row, ids in enumerate(encoded):
            self.engine.check_prompt(ids, f"prompt {row}")
        return many, texts, encoded


def bind(positional: PositionalSpec, config: ModelConfig) -> PositionalEncoding:
    """A positional method for a model; None is what its checkpoint was made with.

    Raises:
        UnknownNameError: there is no method of that name.
        ConfigError: a field of it is unknown or its value is not accepted.
    """
    if isinstance(positional, type) and issubclass(positional, PositionalEncoding):
        positional = positional()
    if isinstance(positional, PositionalEncoding):
        return positional.bind(config)
    if positional is None:
        positional = config.rope.scaling or "rope"
    return positional_methods.create(positional, config)


def _ids(row: Any) -> list[int]:
    """The token ids of a prompt that is no text."""
    if isinstance(row, Mapping):
        raise ValueError(f"prompt {row!r} is a message of a conversation: LLM.chat takes those")
    tokens = _listed(row)
    wrong = next((token for token in tokens if not isinstance(token, Integral) or isinstance(token, bool)), None)
    if wrong is not None:
        raise ValueError(f"token id {wrong!r}: expected a whole number")
    return [int(token) for token in tokens]


def _listed(prompt: Any) -> Any:
    """A text as it is; anything else, tensors too, as a sequence."""
    if hasattr(prompt, "tolist"):
        prompt = prompt.tolist()
    if not isinstance(prompt, Sequence) or isinstance(prompt, bytes):
        raise ValueError(f"prompt {prompt!r}: {PROMPTS} would be accepted")
    return prompt


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    if isinstance(dtype, torch.dtype) and dtype.is_floating_point:
        return dtype
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ConfigError(f"dtype = {dtype!r}: expected 'auto', {', '.join(map(repr, DTYPES))}")
    return DTYPES[dtype]


def _device(device: str | torch.device) -> torch.device:
    accelerators = ["cuda"] if torch.cuda.is_available() else []
    accelerators += ["mps"] if torch.backends.mps.is_available() else []
    if device == "auto":
        return torch.device(next(iter(accelerators), "cpu"))
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        found = torch.device("meta")
    missing = found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count()
    if found.type not in ("cpu", *accelerators) or missing:
        accepted = ", ".join(["auto", "cpu", *accelerators])
        raise ConfigError(f"device = {str(device)!r}: expected one of those of this machine: {accepted}")
    return found
