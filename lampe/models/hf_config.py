"""The fields of a Hugging Face config.json that decide the shape of a decoder."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from lampe.config import Activation

Count = Annotated[int, Field(gt=0)]
HeadDim = Annotated[int, Field(gt=0, multiple_of=2)]
# Conversions of Llama 1 write -1 where there is no padding token.
TokenId = Annotated[int, Field(ge=0)] | None
PadId = Annotated[TokenId, BeforeValidator(lambda value: None if value == -1 else value)]
LayerType = Literal["full_attention", "sliding_attention"]


def _end_tokens(value: Any) -> tuple[int, ...]:
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if any(type(token) is not int or token < 0 for token in ids):
        raise ValueError("input should be a token id, a list of them or null")
    return tuple(ids)


class HFTokenIds(BaseModel):
    """The special token ids that config.json and generation_config.json both may state."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    bos_token_id: TokenId = None
    eos_token_id: Annotated[tuple[int, ...], PlainValidator(_end_tokens)] = ()
    pad_token_id: PadId = None


class HFConfig(HFTokenIds):
    """A config.json under its own field names, without the RoPE fields (see `hf_rope`); unknown fields are ignored.

    A default is what transformers takes where the file is silent. What it would have to guess (sizes, the window, the
    epsilon of the norms) has none here, so a file without it is refused. A family overrides the defaults that its own
    transformers class sets differently.
    """

    vocab_size: Count
    hidden_size: Count
    intermediate_size: Count
    num_hidden_layers: Count
    num_attention_heads: Count
    num_key_value_heads: Count | None = None
    head_dim: HeadDim | None = None
    hidden_act: Activation = "silu"
    max_position_embeddings: Annotated[int, Field(gt=1)]
    rms_norm_eps: Annotated[float, Field(gt=0)]
    tie_word_embeddings: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    use_sliding_window: bool = False
    sliding_window: Count | None = None
    max_window_layers: Annotated[int, Field(ge=0)] = 28
    layer_types: list[LayerType] | None = None
    dtype: str | None = None
    torch_dtype: str | None = None

    @property
    def stated_dtype(self) -> str | None:
        """The dtype of the weights without its "torch." prefix, from the field of transformers 5 or of 4."""
        stated = self.dtype or self.torch_dtype
        return stated.removeprefix("torch.") if stated else None
