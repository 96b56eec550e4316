"""The parts of a Hugging Face `tokenizer.json` that lampe understands; anything else is refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lampe.config import FrozenModel
from lampe.errors import TokenizerError, explain
from lampe.tokenizers.files import TokenizerFiles
from lampe.tokenizers.special import AddedToken, Roles, TokenId

NAME = "tokenizer.json"


class UnicodeForm(FrozenModel):
    type: Literal["NFC", "NFD", "NFKC", "NFKD"]


class Prepend(FrozenModel):
    type: Literal["Prepend"]
    prepend: Literal["▁"]


class Pattern(FrozenModel):
    """A fixed string or a regular expression."""

    String: str | None = None
    Regex: str | None = None

    @model_validator(mode="after")
    def _either(self) -> Pattern:
        if (self.String is None) == (self.Regex is None):
            raise ValueError("either 'String' or 'Regex' is expected")
        return self


class Replace(FrozenModel):
    type: Literal["Replace"]
    pattern: Pattern
    content: str


class NormalizerSequence(FrozenModel):
    type: Literal["Sequence"]
    normalizers: tuple[Normalizer, ...]


class Split(FrozenModel):
    """Only the form whose pieces make up the whole text."""

    type: Literal["Split"]
    pattern: Pattern
    behavior: Literal["Isolated"]
    invert: Literal[False] = False


class Digits(FrozenModel):
    type: Literal["Digits"]
    individual_digits: bool = False


class ByteLevel(FrozenModel):
    type: Literal["ByteLevel"]
    add_prefix_space: Literal[False] = False
    trim_offsets: bool = True
    use_regex: bool = True


class Metaspace(FrozenModel):
    """A blank becomes "▁"; with `split` no merge crosses the boundary of a word."""

    type: Literal["Metaspace"]
    replacement: Literal["▁"] = "▁"
    prepend_scheme: Literal["always", "first", "never"] = "always"
    split: bool = True
    add_prefix_space: bool = True
    str_rep: str = "▁"


class PreTokenizerSequence(FrozenModel):
    type: Literal["Sequence"]
    pretokenizers: tuple[PreTokenizer, ...]


class AnyPostProcessor(BaseModel):
    """ByteLevel only trims offsets; a template puts special tokens around the text."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["ByteLevel", "TemplateProcessing", "Sequence"]
    processors: tuple[AnyPostProcessor, ...] = ()
    single: tuple[dict[str, dict[str, Any]], ...] = ()
    special_tokens: dict[str, dict[str, Any]] = Field(default_factory=dict)


class ByteLevelDecoder(FrozenModel):
    type: Literal["ByteLevel"]
    add_prefix_space: bool = True
    trim_offsets: bool = True
    use_regex: bool = True


class ByteFallback(FrozenModel):
    type: Literal["ByteFallback"]


class Fuse(FrozenModel):
    type: Literal["Fuse"]


class Strip(FrozenModel):
    type: Literal["Strip"]
    content: Literal[" "]
    start: Literal[0, 1]
    stop: Literal[0]


class DecoderSequence(FrozenModel):
    type: Literal["Sequence"]
    decoders: tuple[Decoder, ...]


Normalizer = Annotated[UnicodeForm | Prepend | Replace | NormalizerSequence, Field(discriminator="type")]
PreTokenizer = Annotated[Split | Digits | ByteLevel | Metaspace | PreTokenizerSequence, Field(discriminator="type")]
Decoder = Annotated[
    ByteLevelDecoder | Replace | ByteFallback | Fuse | Strip | DecoderSequence, Field(discriminator="type")
]


class BPE(FrozenModel):
    """A vocabulary and its merges, the most urgent first."""

    type: Literal["BPE"] = "BPE"
    dropout: Literal[None] = None
    unk_token: str | None = None
    continuing_subword_prefix: Literal["", None] = None
    end_of_word_suffix: Literal["", None] = None
    fuse_unk: bool = False
    byte_fallback: bool = False
    ignore_merges: bool = False
    vocab: dict[str, TokenId] = Field(min_length=1)
    merges: tuple[str | tuple[str, str], ...]

    def pairs(self) -> list[tuple[str, str]]:
        """The merges as pairs.

        Raises:
            TokenizerError: one does not make a token of two tokens.
        """
        vocab = self.vocab
        pairs = [merge if isinstance(merge, tuple) else tuple(merge.split(" ")) for merge in self.merges]
        for pair in pairs:
            if len(pair) != 2 or pair[0] not in vocab or pair[1] not in vocab or pair[0] + pair[1] not in vocab:
                raise TokenizerError(
                    f"{NAME}: the merge {pair!r} does not make a token of two tokens of the vocabulary"
                )
        # A pair that is listed twice counts where it stands last, as in Hugging Face's library.
        last_first = dict.fromkeys(reversed(pairs))
        return cast(list[tuple[str, str]], pairs if len(last_first) == len(pairs) else [*reversed(last_first)])


class TokenizerJson(FrozenModel):
    """One tokenizer.json.

    Truncation and padding are settings of a run, which no model depends on.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    added_tokens: tuple[AddedToken, ...] = ()
    normalizer: Normalizer | None = None
    pre_tokenizer: PreTokenizer | None = None
    post_processor: AnyPostProcessor | None = None
    decoder: Decoder | None = None
    model: BPE

    @classmethod
    def read(cls, files: TokenizerFiles) -> TokenizerJson:
        """Understand the tokenizer.json among `files`.

        Raises:
            TokenizerError: it is broken, or has a part that is not understood.
        """
        document = files.json(NAME)
        model = document.get("model")
        kind = model.get("type", "BPE") if isinstance(model, Mapping) else None
        if kind != "BPE":
            raise TokenizerError(f"{NAME}: model.type is {kind!r}; lampe reads 'BPE', byte-level or with byte_fallback")
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise TokenizerError(explain(error, NAME, cls.model_fields)) from None

    @property
    def normalizers(self) -> list[UnicodeForm | Prepend | Replace]:
        """The normalizers in order, sequences opened."""
        return list(_flat(self.normalizer, NormalizerSequence, "normalizers"))

    @property
    def pre_tokenizers(self) -> list[Split | Digits | ByteLevel | Metaspace]:
        """The pre-tokenizers in order, sequences opened."""
        return list(_flat(self.pre_tokenizer, PreTokenizerSequence, "pretokenizers"))

    @property
    def decoders(self) -> list[ByteLevelDecoder | Replace | ByteFallback | Fuse | Strip]:
        """The decoders in order, sequences opened."""
        return list(_flat(self.decoder, DecoderSequence, "decoders"))

    @property
    def is_byte_level(self) -> bool:
        """Whether texts are cut into bytes rather than characters."""
        return any(isinstance(step, ByteLevel) for step in self.pre_tokenizers)

    def default_roles(self, special: Mapping[str, int]) -> Roles:
        """What the post-processor says of the tokens that begin and end a text.

        Args:
            special: text to id of the special tokens.
        """
        prefix, suffix = self.added_around()
        names = {token_id: text for text, token_id in special.items()}
        texts = {"bos_token": names[prefix[0]]} if prefix and prefix[0] in names else {}
        return Roles(texts, prefix[0] if prefix else None, suffix[:1], prefix, suffix)

    def added_around(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The ids that the post-processor puts before and after a text.

        Raises:
            TokenizerError: its template is not special tokens around one text.
        """
        for step in _flat(self.post_processor, AnyPostProcessor, "processors"):
            if step.type == "TemplateProcessing":
                return _template_ids(step)
        return (), ()


def _flat(step: Any, sequence: type[BaseModel], members: str) -> Iterator[Any]:
    if step is None:
        return
    if isinstance(step, sequence) and getattr(step, "type", None) == "Sequence":
        for member in getattr(step, members):
            yield from _flat(member, sequence, members)
    else:
        yield step


def _template_ids(template: AnyPostProcessor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    around: tuple[list[int], list[int]] = ([], [])
    texts = 0
    for piece in template.single:
        if "Sequence" in piece:
            texts += 1
            continue
        name = piece.get("SpecialToken", {}).get("id")
        ids = template.special_tokens.get(str(name), {}).get("ids")
        if not isinstance(ids, list) or not all(isinstance(value, int) for value in ids):
            raise TokenizerError(f"{NAME}: post_processor names the special token {name!r} but gives it no ids")
        around[min(texts, 1)].extend(ids)
    if texts != 1:
        raise TokenizerError(f"{NAME}: post_processor.single has the text {texts} times; once is expected")
    return tuple(around[0]), tuple(around[1])
