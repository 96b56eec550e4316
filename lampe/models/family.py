"""What a model family is: how its config.json reads into the one decoder that all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from lampe.config import ModelConfig
from lampe.errors import ConfigError, closest
from lampe.models.hf_config import HFConfig
from lampe.models.hf_rope import read_rope, write_rope
from lampe.registry import Registry, validate


class ModelFamily(ABC):
    """A model family, as Hugging Face knows it.

    A subclass says what its config.json means beyond the fields that all share: which projections have biases, which
    layers a sliding window, whether heads are normed.

    Args:
        config: the shape of a decoder of this family.
    """

    Config: ClassVar[type[ModelConfig]]
    HF: ClassVar[type[HFConfig]] = HFConfig
    architectures: ClassVar[tuple[str, ...]]
    model_type: ClassVar[str]

    def __init__(self, config: ModelConfig):
        self.config = config

    @classmethod
    @abstractmethod
    def read(cls, hf: HFConfig) -> dict[str, Any]:
        """The fields of `Config` that this family sets in its own way."""

    @abstractmethod
    def write(self) -> dict[str, Any]:
        """The fields of config.json that `read` reads."""

    @classmethod
    def from_hf(cls, raw: Mapping[str, Any]) -> ModelConfig:
        """Read a config.json.

        Args:
            raw: the parsed file.

        Raises:
            ConfigError: a field is missing, not accepted, or means something that lampe does not compute.
        """
        subject = f"config.json ({cls.model_type})"
        hf = validate(cls.HF, raw, subject)
        head_dim = _head_dim(hf, subject)
        fields = {
            "vocab_size": hf.vocab_size,
            "hidden_size": hf.hidden_size,
            "intermediate_size": hf.intermediate_size,
            "n_layers": hf.num_hidden_layers,
            "n_heads": hf.num_attention_heads,
            "n_kv_heads": _kv_heads(hf, subject),
            "head_dim": head_dim,
            "rope": read_rope(raw, head_dim=head_dim, max_position=hf.max_position_embeddings, subject=subject),
            "rms_norm_eps": hf.rms_norm_eps,
            "activation": hf.hidden_act,
            "tie_embeddings": hf.tie_word_embeddings,
            "bos_token_id": hf.bos_token_id,
            "eos_token_ids": hf.eos_token_id,
            "pad_token_id": hf.pad_token_id,
            "dtype": hf.stated_dtype,
            **cls.read(hf),
        }
        config = validate(cls.Config, fields, subject)
        _check_layer_types(hf, config, subject)
        return config

    def to_hf(self) -> dict[str, Any]:
        """The config.json of this model, which transformers 4 and 5 both read.

        Raises:
            ConfigError: the config has something that a config.json of this family cannot state.
        """
        config = self.config
        eos = list(config.eos_token_ids)
        written = {
            "architectures": list(self.architectures[:1]),
            "model_type": self.model_type,
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_hidden_layers": config.n_layers,
            "num_attention_heads": config.n_heads,
            "num_key_value_heads": config.n_kv_heads,
            "head_dim": config.head_dim,
            "hidden_act": config.activation,
            "rms_norm_eps": config.rms_norm_eps,
            "tie_word_embeddings": config.tie_embeddings,
            "bos_token_id": config.bos_token_id,
            "eos_token_id": eos if len(eos) > 1 else next(iter(eos), None),
            "pad_token_id": config.pad_token_id,
            "torch_dtype": config.dtype,
            **write_rope(config.rope),
            **self.write(),
        }
        self._check_faithful(written)
        return written

    def _check_faithful(self, written: Mapping[str, Any]) -> None:
        reread = self.from_hf(written)
        for field in type(self.config).model_fields:
            wanted, got = getattr(self.config, field), getattr(reread, field)
            if wanted != got and not (field == "sliding_windows" and not any((*wanted, *got))):
                raise ConfigError(f"a {self.model_type} config.json cannot state {field} = {wanted!r}, only {got!r}")


def _head_dim(hf: HFConfig, subject: str) -> int:
    if hf.head_dim is not None:
        return hf.head_dim
    if hf.hidden_size % (2 * hf.num_attention_heads):
        raise ConfigError(
            f"{subject}: hidden_size = {hf.hidden_size} does not split into {hf.num_attention_heads} heads "
            "(num_attention_heads) of even size, and head_dim is not stated"
        )
    return hf.hidden_size // hf.num_attention_heads


def _kv_heads(hf: HFConfig, subject: str) -> int:
    kv_heads = hf.num_key_value_heads or hf.num_attention_heads
    if hf.num_attention_heads % kv_heads:
        raise ConfigError(
            f"{subject}: num_attention_heads = {hf.num_attention_heads} is no multiple of "
            f"num_key_value_heads = {kv_heads}"
        )
    return kv_heads


def _check_layer_types(hf: HFConfig, config: ModelConfig, subject: str) -> None:
    if hf.layer_types is None:
        return
    if len(hf.layer_types) != config.n_layers:
        raise ConfigError(f"{subject}: layer_types names {len(hf.layer_types)} layers of {config.n_layers}")
    for layer, kind in enumerate(hf.layer_types):
        window = config.window_of(layer)
        if (kind == "sliding_attention") != (window is not None):
            raise ConfigError(f"{subject}: layer_types[{layer}] = {kind!r}, but the window of that layer is {window}")


def family_of(raw: Mapping[str, Any]) -> type[ModelFamily]:
    """The family that a config.json belongs to, by its `architectures`, else by its `model_type`.

    Raises:
        ConfigError: names an architecture or model type that no family reads, or none at all.
    """
    families = [entry.cls for entry in registry.entries()]
    stated, model_type = raw.get("architectures"), raw.get("model_type")
    if not stated:
        by_type = {family.model_type: family for family in families}
        return _known("model_type", model_type, by_type)
    if not isinstance(stated, list) or len(stated) != 1:
        raise ConfigError(f"config.json: architectures = {stated!r}: a list of one name would be accepted")
    by_architecture = {name: family for family in families for name in family.architectures}
    family = _known("architecture", stated[0], by_architecture)
    if model_type not in (None, family.model_type):
        raise ConfigError(
            f"config.json: model_type = {model_type!r} is not that of {stated[0]}, which is {family.model_type!r}"
        )
    return family


def _known(noun: str, name: object, families: Mapping[str, type[ModelFamily]]) -> type[ModelFamily]:
    if isinstance(name, str) and name in families:
        return families[name]
    near = closest(name, families) if isinstance(name, str) else ""
    raise ConfigError(f"config.json: unknown {noun} {name!r}{near}; there are: {', '.join(sorted(families))}")


def _import_builtin() -> None:
    import lampe.models  # noqa: F401


registry: Registry[ModelFamily] = Registry("lampe.models", ModelFamily, "model family", builtin=_import_builtin)
