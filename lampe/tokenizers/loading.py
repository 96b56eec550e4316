"""Which files of a checkpoint folder make its tokenizer."""

from __future__ import annotations

from pathlib import Path

from lampe.errors import TokenizerError
from lampe.tokenizers.base import Tokenizer
from lampe.tokenizers.byte_fallback import load_byte_fallback
from lampe.tokenizers.byte_level import load_byte_level
from lampe.tokenizers.files import TokenizerFiles
from lampe.tokenizers.rank_files import LLAMA3, QWEN, is_rank_file, load_rank_file
from lampe.tokenizers.sentencepiece import load_sentencepiece
from lampe.tokenizers.tokenizer_json import TokenizerJson


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Load the tokenizer of a checkpoint folder.

    A byte-level tokenizer.json goes first; then tokenizer.model, a sentencepiece model or Llama 3's rank file, told
    apart by their content; then a tokenizer.json that was made from a sentencepiece model; then qwen.tiktoken.

    Raises:
        TokenizerError: nothing usable is there, or a file is broken or not understood.
    """
    files = TokenizerFiles.read(folder)
    document = TokenizerJson.read(files) if "tokenizer.json" in files else None
    if document is not None and document.is_byte_level:
        return load_byte_level(files, document)
    if "tokenizer.model" in files and is_rank_file(files.contents["tokenizer.model"]):
        return load_rank_file(files, "tokenizer.model", LLAMA3)
    if "tokenizer.model" in files:
        return load_sentencepiece(files, document)
    if document is not None:
        return load_byte_fallback(files, document)
    if "qwen.tiktoken" in files:
        return load_rank_file(files, "qwen.tiktoken", QWEN)
    raise TokenizerError(
        f"no tokenizer in {folder}: looked for tokenizer.json, tokenizer.model and qwen.tiktoken{_hint(files.folder)}"
    )


def _hint(folder: Path) -> str:
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        return "; vocab.json and merges.txt alone do not say how a text is split"
    return ""
