"""What every tokenizer does, whatever merges its tokens."""

from __future__ import annotations

import codecs
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lampe.errors import TokenizerError
from lampe.tokenizers.chat import ChatTemplate, Message
from lampe.tokenizers.files import TokenizerFiles
from lampe.tokenizers.special import AddedToken, AddedTokens, Roles


class StreamDecoder:
    """Turns ids into text one at a time; no code point is ever split.

    What `push` and the final `flush` return, put together, is what `Tokenizer.decode` makes of all the ids; with
    `at_start` false that keeps the space it begins with.

    Attributes:
        skipped: id to text of the tokens that are left out.
    """

    def __init__(self, tokenizer: Tokenizer, skip_special: bool, at_start: bool):
        self._tokenizer = tokenizer
        special = tokenizer.special_tokens if skip_special else {}
        self.skipped: Mapping[int, str] = {token_id: text for text, token_id in special.items()}
        self._drops_space = at_start and tokenizer.drops_first_space
        self._reset()

    def _reset(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_start = self._drops_space

    @property
    def unfinished(self) -> bool:
        """Whether the bytes so far end within a code point."""
        return bool(self._utf8.getstate()[0])

    def push(self, token_id: int) -> str:
        """The text that is certain once `token_id` is known, which may be empty.

        Raises:
            TokenizerError: the id is out of range.
        """
        index = operator.index(token_id)
        data = self._tokenizer.token_bytes(index)
        if index in self.skipped or not data:
            return ""
        if self._at_start:
            self._at_start = False
            data = data.removeprefix(b" ")
        return self._utf8.decode(data)

    def flush(self) -> str:
        """The rest: U+FFFD for a code point that never became whole. The decoder is then as new."""
        rest = self._utf8.decode(b"", final=True)
        self._reset()
        return rest


class Tokenizer(ABC):
    """Text to ids and back.

    Attributes:
        vocab_size: number of ids, special tokens included; ids go from 0 to vocab_size - 1.
        bos_id: the token that begins a text, or None.
        eos_ids: the tokens that end a text by the tokenizer's own files.
        special_tokens: text to id of the tokens that decoding may skip.
        chat_template: how the checkpoint writes a conversation, or None.
        drops_first_space: decoding leaves out the space that encoding put before the text.
    """

    drops_first_space = False

    def __init__(
        self,
        *,
        tokens: Sequence[bytes | None],
        added: AddedTokens,
        roles: Roles,
        files: TokenizerFiles,
    ):
        """Args:
        tokens: the bytes of every id; None where an id has no token.
        added: tokens matched in the text as they stand.
        roles: which tokens begin and end a text.
        files: what `save` writes.
        """
        highest = max([len(tokens) - 1, *(token.id for token in added.tokens)])
        self._tokens: list[bytes | None] = [*tokens, *[None] * (highest + 1 - len(tokens))]
        for token in added.tokens:
            self._tokens[token.id] = token.content.encode()
        self._added = AddedTokens(added.tokens, self._normalize)
        self._roles = roles
        self._files = files
        self.vocab_size = len(self._tokens)
        self.bos_id = roles.bos_id
        self.eos_ids = roles.eos_ids
        self.special_tokens: Mapping[str, int] = MappingProxyType(dict(added.special))
        self.chat_template = ChatTemplate.from_files(files)

    @abstractmethod
    def _encode_ordinary(self, text: str, at_start: bool) -> list[int]:
        """Ids of a non-empty text without added tokens; `at_start` says that the whole text begins with it."""

    def _normalize(self, text: str) -> str:
        return text

    def encode(self, text: str, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """Turn text into ids.

        Args:
            add_special: add what the checkpoint's tokenizer adds by itself, usually BOS; a BOS that `text` already
                starts with (see `parse_special`) is not doubled.
            parse_special: the text of a special token becomes its id, as chat templates need; otherwise it is
                ordinary text. Added tokens that are not special are always found, as in Hugging Face's tokenizers.

        Raises:
            TokenizerError: `text` holds a lone surrogate, which no encoding of it could bring back.
        """
        _check_encodable(text)
        ids: list[int] = []
        at_start = True
        for segment in self._added.split(text, normalized=False, parse_special=parse_special):
            if isinstance(segment, AddedToken):
                ids.append(segment.id)
                at_start = False
                continue
            normal = self._normalize(segment)
            for part in self._added.split(normal, normalized=True, parse_special=parse_special):
                ids += [part.id] if isinstance(part, AddedToken) else self._encode_ordinary(part, at_start)
                at_start = False
        return [*self._begun(ids), *self._roles.suffix] if add_special else ids

    def _begun(self, ids: list[int]) -> list[int]:
        """Ids behind what begins a text, which is not doubled."""
        prefix = list(self._roles.prefix)
        return ids if ids[: len(prefix)] == prefix else [*prefix, *ids]

    def encode_prompt(self, text: str, *, parse_special: bool = False) -> list[int]:
        """As `encode`, for a text that the model goes on with: what the tokenizer ends texts with is left out.

        With add_eos_token a tokenizer closes every text with EOS. A prompt is not over, and after EOS a model goes on
        with another text.

        Raises:
            TokenizerError: as `encode`.
        """
        return self._begun(self.encode(text, add_special=False, parse_special=parse_special))

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes one id stands for.

        Raises:
            TokenizerError: the id is out of range, or no token has it.
        """
        if not 0 <= token_id < self.vocab_size:
            raise TokenizerError(f"token id {token_id} is out of range: the ids go from 0 to {self.vocab_size - 1}")
        data = self._tokens[token_id]
        if data is None:
            raise TokenizerError(f"token id {token_id} has no token in the files of this tokenizer")
        return data

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """Turn ids into text; bytes that are not UTF-8 become U+FFFD.

        Raises:
            TokenizerError: an id is out of range.
        """
        stream = self.stream(skip_special=skip_special)
        return "".join(map(stream.push, ids)) + stream.flush()

    def stream(self, *, skip_special: bool = True, at_start: bool = True) -> StreamDecoder:
        """A decoder for ids that come one at a time; `at_start` says that a text begins with them."""
        return StreamDecoder(self, skip_special, at_start)

    def encode_chat(
        self,
        messages: Sequence[Message | Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        answer: str = "",
        **variables: Any,
    ) -> list[int]:
        """Write a conversation with the chat template (`render_chat`) and encode it.

        The template says all: what the tokenizer itself puts before and behind a text is left out, as in transformers.

        The text of a special token becomes its id wherever it stands, in what a user said too, as in transformers.

        Args:
            messages: role and content of every turn, the oldest first.
            add_generation_prompt: end with the opening of the assistant's turn.
            answer: how the assistant's turn begins. It stands where the template puts the words of such a turn, which
                may be behind a space or behind thoughts that are left empty; should the template rewrite it, it follows
                the opening of the turn as it is.
            variables: what else the template reads, e.g. tools=[...] or enable_thinking=False, and the `today` of
                `ChatTemplate.render`.

        Raises:
            TokenizerError: there is no template, or it refuses the messages.
        """
        begun = None
        if add_generation_prompt and answer.strip():
            begun = self._render_begun(messages, answer, **variables)
        if begun is None:
            begun = self.render_chat(messages, add_generation_prompt=add_generation_prompt, **variables) + answer
        return self.encode(begun, add_special=False, parse_special=True)

    def _render_begun(
        self, messages: Sequence[Message | Mapping[str, Any]], answer: str, **variables: Any
    ) -> str | None:
        """A conversation up to the answer that has begun; None where the template does not write it so."""
        words = answer.rstrip()
        turns = [*messages, {"role": "assistant", "content": words}]
        try:
            text = self.render_chat(turns, continue_final_message=True, **variables)
        except TokenizerError:
            return None
        return text + answer[len(words) :]

    def render_chat(
        self,
        messages: Sequence[Message | Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """Write a conversation with the chat template, as text with special tokens in it; arguments as those of
        `ChatTemplate.render`, which is told what the tokenizer's BOS and EOS are.

        Raises:
            TokenizerError: there is no template, or it refuses the messages.
        """
        if self.chat_template is None:
            raise TokenizerError(
                f"no chat template in {self._files.folder}: looked for chat_template.jinja and for chat_template "
                "in tokenizer_config.json"
            )
        named = {**self._roles.texts, **variables}
        return self.chat_template.render(messages, add_generation_prompt, **named)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the files that this tokenizer was loaded from, their names included."""
        digest = sha256()
        for name, content in sorted(self._files.contents.items()):
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()

    @property
    def template_fingerprint(self) -> str | None:
        """SHA-256 of the chat template's text, or None without one."""
        return sha256(self.chat_template.text.encode()).hexdigest() if self.chat_template else None

    def save(self, folder: str | Path) -> None:
        """Write the files this tokenizer was loaded from, byte for byte, into `folder`."""
        self._files.write(folder)


def _check_encodable(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TokenizerError(
            f"the text holds a lone surrogate U+{ord(text[error.start]):04X} at position {error.start}; "
            "replace it before encoding"
        ) from None
