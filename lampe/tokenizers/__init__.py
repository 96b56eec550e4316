"""Text to token ids and back, from the files a checkpoint brings, and the chat template beside them."""

from lampe.tokenizers.base import StreamDecoder, Tokenizer
from lampe.tokenizers.chat import ChatTemplate, Message
from lampe.tokenizers.loading import load_tokenizer

__all__ = ["ChatTemplate", "Message", "StreamDecoder", "Tokenizer", "load_tokenizer"]
