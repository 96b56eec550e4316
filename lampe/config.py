"""The frozen pydantic models that several parts share; a component's own config stands beside the component."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, field_validator, model_validator


class FrozenModel(BaseModel):
    """Immutable, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FiniteModel(FrozenModel):
    """A frozen model whose numbers are finite."""

    model_config = ConfigDict(allow_inf_nan=False)


class PositionalConfig(FiniteModel):
    """The fields that every positional method has.

    Attributes:
        kind: the registered name of the method.
        temperature: A, multiplied onto both cos and sin, so logits grow by A^2; None leaves the method's own.
        log_n: scale query i by max(1, ln(i + 1) / ln(L)).
        length: a plan is made for the prompt alone, or for the prompt and the budget of new tokens ("total").
        original_window: overrides the trained window L that the checkpoint states, in tokens.
        sliding_window: "checkpoint" intersects the plan with the layer's own window, "off" ignores that, a number of
            tokens gives every layer this window, where its own is not smaller.
    """

    kind: str
    temperature: float | None = Field(default=None, gt=0)
    log_n: bool = False
    length: Literal["prompt", "total"] = "prompt"
    original_window: int | None = Field(default=None, gt=1)
    sliding_window: Literal["checkpoint", "off"] | Annotated[int, Field(ge=1)] = "checkpoint"

    def window_of(self, own: int | None) -> int | None:
        """What a layer with its own sliding window sees under this config, in tokens; None for every earlier token."""
        if self.sliding_window == "checkpoint":
            return own
        if self.sliding_window == "off":
            return None
        return self.sliding_window if own is None else min(own, self.sliding_window)

    def windows_of(self, model: ModelConfig) -> tuple[int | None, ...]:
        """What each layer of a model sees under this config."""
        return tuple(self.window_of(model.window_of(layer)) for layer in range(model.n_layers))

    def widest_window(self, model: ModelConfig) -> int | None:
        """What the layer that sees most sees, in tokens; None for every earlier token."""
        windows = [window for window in self.windows_of(model) if window is not None]
        return max(windows) if len(windows) == model.n_layers else None


class Origin(FrozenModel):
    """Where a model came from.

    Attributes:
        folder: of the checkpoint.
        fingerprint: of its weights (`lampe.checkpoint.fingerprint`); None where the folder has none.
    """

    folder: str
    fingerprint: str | None = None


class RopeConfig(FiniteModel):
    """How a checkpoint was trained to see positions.

    Attributes:
        theta: the base of the frequencies.
        dim: rotary dimension D; the frequencies are theta^(-2k/D) for k below D/2.
        max_position: the longest input the checkpoint says it takes, in tokens (max_position_embeddings).
        original_window: the window L before the checkpoint's own scaling, in tokens; max_position without one.
        scaling: the frequency method the checkpoint brings (pi, dynamic-ntk, yarn, llama3 or longrope), or None.
        origin: the checkpoint it was read from, by which a method finds what was measured on that very model; None for
            one that was written by hand.
    """

    theta: float = Field(default=10000.0, gt=1)
    dim: int = Field(gt=1, multiple_of=2)
    max_position: int = Field(gt=1)
    original_window: int = Field(gt=1)
    scaling: SerializeAsAny[PositionalConfig] | None = None
    origin: Origin | None = None

    def __eq__(self, other: object) -> bool:
        """Whether both say the same of positions, wherever they came from."""
        return isinstance(other, RopeConfig) and self._said == other._said

    def __hash__(self) -> int:
        return hash(self._said)

    @field_validator("scaling", mode="before")
    @classmethod
    def _of_its_kind(cls, value: object) -> object:
        """Fields, as a dump has them, become the config of the method that they name."""
        if isinstance(value, Mapping):
            kinds = {config.model_fields["kind"].default: config for config in _subclasses(PositionalConfig)}
            if value.get("kind") not in kinds:
                raise ValueError(f"kind = {value.get('kind')!r}: expected the name of a positional method")
            value = kinds[value["kind"]].model_validate(value)
        if type(value) is PositionalConfig:
            raise ValueError("expected the config of one positional method, such as YaRN.Config")
        if isinstance(value, PositionalConfig) and "checkpoint_scaling" in type(value).model_fields:
            raise ValueError(
                f"kind = {value.kind!r} moves positions; expected a method that scales frequencies, such as 'yarn'"
            )
        return value

    @property
    def _said(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in RopeConfig.model_fields if name != "origin")


def _subclasses(cls: type[PositionalConfig]) -> Iterator[type[PositionalConfig]]:
    for derived in cls.__subclasses__():
        yield derived
        yield from _subclasses(derived)


Activation = Literal["silu", "gelu", "gelu_pytorch_tanh", "relu"]


class ModelConfig(FiniteModel):
    """The shape of a decoder; a model family says how its config.json reads into one.

    Attributes:
        kind: the registered name of the model family.
        attention_bias: biases on q, k and v.
        output_bias: a bias on o.
        qk_norm: RMSNorm over head_dim on every query and key head, before the rotation (Qwen3).
        sliding_windows: for each layer the number of keys a query sees, itself included, or None for all.
        dtype: what the checkpoint says its weights are, e.g. "bfloat16"; None when it does not say.
    """

    kind: str
    vocab_size: int = Field(gt=0)
    hidden_size: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    n_layers: int = Field(gt=0)
    n_heads: int = Field(gt=0)
    n_kv_heads: int = Field(gt=0)
    head_dim: int = Field(gt=0)
    rope: RopeConfig
    rms_norm_eps: float = Field(default=1e-6, gt=0)
    activation: Activation = "silu"
    tie_embeddings: bool = False
    attention_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    sliding_windows: tuple[int | None, ...] = ()
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    pad_token_id: int | None = None
    dtype: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_heads = {self.n_heads} is no multiple of n_kv_heads = {self.n_kv_heads}")
        if self.rope.dim != self.head_dim:
            raise ValueError(f"rope.dim = {self.rope.dim} must be head_dim = {self.head_dim}: no partial rotation")
        if self.sliding_windows and len(self.sliding_windows) != self.n_layers:
            raise ValueError(f"sliding_windows has {len(self.sliding_windows)} entries for {self.n_layers} layers")
        return self

    def window_of(self, layer: int) -> int | None:
        """The sliding window of a layer in tokens, or None where it sees every earlier token."""
        return self.sliding_windows[layer] if self.sliding_windows else None
