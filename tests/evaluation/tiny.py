"""A random model of a trained window of 128 tokens, with a tokenizer that makes every byte a token."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedModel

from tests.checkpoints import make

LINE = "the river carried seven grey boats past old mills while quiet children counted every passing cloud"

BOS = 255


def prose(sentences: int) -> str:
    """Sentences that are all different, in paragraphs of four, without a digit."""
    lines, words = [], LINE.split()
    for number in range(sentences):
        body = [words[(number * step + step) % len(words)] for step in range(3, 9 + number % 5)]
        marks = [words[number % len(words)], words[number // len(words) % len(words)]]
        lines.append(" ".join([*body, *marks]).capitalize() + ".")
    return "\n\n".join(" ".join(lines[begin : begin + 4]) for begin in range(0, len(lines), 4))


def checkpoint(folder: Path, *, bos: bool = False) -> PreTrainedModel:
    """Save model and tokenizer, and return the model that transformers runs."""
    model = make("llama-tied", folder)
    # The byte 0xFF occurs in no text: its id is that of BOS.
    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - {"ÿ"})
    vocabulary = {character: index for index, character in enumerate([*alphabet, "<s>"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.add_special_tokens(["<s>"])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return model
