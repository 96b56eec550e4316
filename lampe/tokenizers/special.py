"""Tokens that are matched in the text before anything is split or merged, and the ones a checkpoint gives a role."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from lampe.config import FrozenModel
from lampe.errors import TokenizerError, explain
from lampe.tokenizers.files import TokenizerFiles

# No vocabulary comes near this; an id read from a broken file must not fill the memory.
TokenId = Annotated[int, Field(ge=0, lt=1 << 24)]
ROLES = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")


class AddedToken(FrozenModel):
    """A token outside the merges, as tokenizer.json and tokenizer_config.json write it.

    Attributes:
        special: decoding may skip it, and encoding reads it in a text only when asked to.
        lstrip: it takes the whitespace on its left with it.
        rstrip: it takes the whitespace on its right with it.
        normalized: it is looked for after the text was normalised, not before.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: TokenId
    content: str
    special: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    single_word: Literal[False] = False


class AddedTokens:
    """Finds added tokens in a text: the leftmost first, of several at one place the longest."""

    def __init__(self, tokens: Iterable[AddedToken], normalize: Callable[[str], str] = str):
        """Args:
        tokens: in any order.
        normalize: what is done to a text before tokens with the `normalized` flag are looked for in it.
        """
        self.tokens = tuple(token for token in tokens if token.content)
        self.ids: Mapping[str, int] = {token.content: token.id for token in self.tokens}
        self.special: Mapping[str, int] = {token.content: token.id for token in self.tokens if token.special}
        spelled = [(normalize(token.content) if token.normalized else token.content, token) for token in self.tokens]
        self._found = {(token.normalized, text): token for text, token in spelled}
        self._patterns = {
            (normalized, special): self._pattern(normalized, special)
            for normalized in (False, True)
            for special in (False, True)
        }

    def _pattern(self, normalized: bool, special: bool) -> re.Pattern[str] | None:
        found = self._found.items()
        texts = [text for (when, text), token in found if when == normalized and (special or not token.special)]
        longest_first = sorted(texts, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first))) if texts else None

    def found_in_raw_text(self) -> AddedTokens:
        """The same tokens, all looked for before normalisation.

        Older Llama files mark <s> as found after it, where the space that normalisation puts before the text hides
        the token from anything but the start of a word.
        """
        return AddedTokens(token.model_copy(update={"normalized": False}) for token in self.tokens)

    def split(self, text: str, *, normalized: bool, parse_special: bool) -> Iterator[str | AddedToken]:
        """Cut `text` at the added tokens whose `normalized` flag is as given; no empty string is yielded."""
        pattern = self._patterns[normalized, parse_special]
        cursor = 0
        for match in pattern.finditer(text) if pattern else ():
            token = self._found[normalized, match.group()]
            before = text[cursor : match.start()] if cursor < match.start() else ""
            if token.lstrip:
                before = before.rstrip()
            if before:
                yield before
            yield token
            cursor = max(cursor, match.end())
            if token.rstrip:
                cursor = len(text) - len(text[cursor:].lstrip())
        if cursor < len(text):
            yield text[cursor:]


def read_added_tokens(
    files: TokenizerFiles, known: Iterable[AddedToken] = (), listed: Iterable[AddedToken] = ()
) -> AddedTokens:
    """Gather the added tokens of all files; what a file says of a token replaces what is `known` of its id.

    Args:
        known: tokens that follow from the vocabulary file itself.
        listed: those of tokenizer.json.

    Raises:
        TokenizerError: a token cannot be understood, two tokens share an id, or one token has two ids.
    """
    config = files.json("tokenizer_config.json")
    tokens = {token.id: token for token in known}
    written: dict[int, tuple[str, str]] = {}
    for token in listed:
        tokens[token.id] = token
        written[token.id] = ("tokenizer.json", token.content)
    for source, entry in _entries(files, config):
        try:
            token = AddedToken.model_validate(entry)
        except ValidationError as error:
            raise TokenizerError(explain(error, f"{source}, added token", AddedToken.model_fields)) from None
        other, content = written.setdefault(token.id, (source, token.content))
        if content != token.content:
            raise TokenizerError(f"id {token.id} is {content!r} in {other} and {token.content!r} in {source}")
        tokens[token.id] = token
    roles = set(role_texts(files).values())
    for listed_as in ("additional_special_tokens", "extra_special_tokens"):
        roles.update(_texts(config.get(listed_as)))
    tokens = {key: t.model_copy(update={"special": t.special or t.content in roles}) for key, t in tokens.items()}
    ids: dict[str, int] = {}
    for token in tokens.values():
        if ids.setdefault(token.content, token.id) != token.id:
            raise TokenizerError(f"added token {token.content!r} has two ids: {ids[token.content]} and {token.id}")
    return AddedTokens(tokens.values())


def _entries(files: TokenizerFiles, config: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for content, token_id in files.json("added_tokens.json").items():
        yield "added_tokens.json", {"id": token_id, "content": content}
    decoder = config.get("added_tokens_decoder") or {}
    if not isinstance(decoder, Mapping):
        raise TokenizerError("tokenizer_config.json: 'added_tokens_decoder' must be an object of ids to tokens")
    for token_id, entry in decoder.items():
        fields = entry if isinstance(entry, Mapping) else {"content": entry}
        yield "tokenizer_config.json", {**fields, "id": token_id}


def _texts(value: Any) -> list[str]:
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [text for item in items if (text := _text(item)) is not None]


def _text(value: Any) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else None


def role_texts(files: TokenizerFiles) -> dict[str, str]:
    """The texts of bos_token, eos_token and so on; tokenizer_config.json goes before special_tokens_map.json."""
    config = files.json("tokenizer_config.json")
    stated = {**files.json("special_tokens_map.json"), **{role: config[role] for role in ROLES if role in config}}
    return {role: text for role in ROLES if (text := _text(stated.get(role))) is not None}


def states_role(files: TokenizerFiles, role: str) -> bool:
    """Whether a file speaks of the role at all, be it to say that there is no such token."""
    return role in files.json("tokenizer_config.json") or role in files.json("special_tokens_map.json")


@dataclass(frozen=True)
class Roles:
    """What the special tokens of a checkpoint are for.

    Attributes:
        texts: the tokens a chat template may name, e.g. {"bos_token": "<s>"}; only BOS and EOS are sure to have an id.
        bos_id: the token that begins a text, if there is one.
        eos_ids: the tokens that end a text.
        prefix: ids put before an encoded text when special tokens are added.
        suffix: ids put after it.
    """

    texts: Mapping[str, str]
    bos_id: int | None
    eos_ids: tuple[int, ...]
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]


def read_roles(files: TokenizerFiles, ids: Mapping[str, int], default: Roles) -> Roles:
    """Let the config files of a checkpoint speak, and `default` where they are silent.

    Args:
        ids: the id of every token a role may name.
        default: roles that follow from the vocabulary file itself.

    Raises:
        TokenizerError: bos_token or eos_token names a token that the vocabulary does not have.
    """
    texts = {role: text for role, text in default.texts.items() if not states_role(files, role)}
    texts.update(role_texts(files))
    # Nothing that is generated or encoded needs the others: a pad_token may stand for one that training would add.
    for role in ("bos_token", "eos_token"):
        if (text := texts.get(role)) is not None and text not in ids:
            raise TokenizerError(f"{role} is {text!r}, which is no token of this vocabulary of {len(ids)} tokens")
    bos = ids[texts["bos_token"]] if "bos_token" in texts else None
    if bos is None and not states_role(files, "bos_token"):
        bos = default.bos_id
    eos = (ids[texts["eos_token"]],) if "eos_token" in role_texts(files) else default.eos_ids
    config = files.json("tokenizer_config.json")
    prefix, suffix = default.prefix, default.suffix
    if config.get("add_bos_token") is not None:
        prefix = (bos,) if config["add_bos_token"] and bos is not None else ()
    if config.get("add_eos_token") is not None:
        suffix = eos[:1] if config["add_eos_token"] else ()
    return Roles(texts, bos, eos, prefix, suffix)
