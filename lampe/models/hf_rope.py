"""The RoPE fields of a Hugging Face config.json, as transformers 4 and 5 write them, read and written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from lampe import positional
from lampe.config import PositionalConfig, RopeConfig
from lampe.errors import ConfigError, closest
from lampe.registry import validate

TOP_FIELDS = ("rope_theta", "partial_rotary_factor", "original_max_position_embeddings")
# "finetuned" is a remark that the first YaRN checkpoints carry.
WITHOUT_EFFECT = {*TOP_FIELDS, "type", "rope_type", "finetuned"}


class HFRope(BaseModel):
    """The RoPE fields that every checkpoint may state; transformers takes this base where the file is silent."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    rope_theta: Annotated[float, Field(gt=1)] = 10000.0
    original_max_position_embeddings: Annotated[int, Field(gt=1)] | None = None


@dataclass(frozen=True)
class Scaling:
    """How a `rope_type` reads: the method of lampe it is, and the fields it may bring."""

    kind: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


YARN_OPTIONS = ("beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim", "truncate")
SCALINGS = {
    "linear": Scaling("pi", ("factor",)),
    "dynamic": Scaling("dynamic-ntk", ("factor",)),
    "yarn": Scaling("yarn", ("factor",), YARN_OPTIONS),
    "llama3": Scaling("llama3", ("factor", "low_freq_factor", "high_freq_factor")),
    "longrope": Scaling("longrope", ("short_factor", "long_factor"), ("factor", "attention_factor")),
}
ALIASES = {"su": "longrope"}
WINDOWED = ("yarn", "llama3", "longrope")


def read_rope(raw: Mapping[str, Any], *, head_dim: int, max_position: int, subject: str) -> RopeConfig:
    """Read the RoPE of a config.json.

    Takes `rope_theta` at the top or in `rope_parameters`, and a scaling from `rope_scaling` or `rope_parameters`, named
    by `rope_type` or `type`; the window before it from `original_max_position_embeddings` in either place.

    Args:
        raw: the whole config.json.
        head_dim: size of a head, all of which is rotated.
        max_position: max_position_embeddings, in tokens.
        subject: what is being read, for messages.

    Raises:
        ConfigError: the scaling is unknown, lacks a field or has one that is unknown; two places disagree; layers
            differ; only part of a head is rotated.
    """
    stated = _stated(raw, subject)
    if (partial := stated.get("partial_rotary_factor", 1.0)) != 1.0:
        raise ConfigError(f"{subject}: partial_rotary_factor = {partial!r}: lampe rotates whole heads, so 1.0 or null")
    hf = validate(HFRope, stated, subject)
    rope_type = _rope_type(stated, subject)
    # transformers measures dynamic scaling against max_position_embeddings, whatever else a file says.
    original = None if rope_type == "dynamic" else hf.original_max_position_embeddings
    rope = RopeConfig(
        theta=hf.rope_theta, dim=head_dim, max_position=max_position, original_window=original or max_position
    )
    return rope.model_copy(update={"scaling": _read_scaling(rope_type, stated, rope, subject)})


def write_rope(rope: RopeConfig) -> dict[str, Any]:
    """The RoPE fields of a config.json in the form that transformers 4 and 5 both read.

    Raises:
        ConfigError: the scaling is none that a config.json can state.
    """
    original = {"original_max_position_embeddings": rope.original_window}
    extended = rope.original_window != rope.max_position
    fields: dict[str, Any] = {"max_position_embeddings": rope.max_position, "rope_theta": rope.theta}
    if rope.scaling is None:
        return fields | {"rope_scaling": None} | (original if extended else {})
    scaling = _write_scaling(rope.scaling)
    fields["rope_scaling"] = scaling | (original if extended or scaling["rope_type"] in WINDOWED else {})
    # transformers 4 looks for the window of longrope beside the scaling, not inside it.
    return fields | (original if scaling["rope_type"] == "longrope" else {})


def _stated(raw: Mapping[str, Any], subject: str) -> dict[str, Any]:
    """Every RoPE field that is not null, from the three places where one may stand."""
    stated: dict[str, Any] = {}
    for place, part in _places(raw, subject):
        for key, value in part.items():
            if value is not None and stated.setdefault(key, value) != value:
                raise ConfigError(f"{subject}: {place} says {key} = {value!r}, another place {stated[key]!r}")
    return stated


def _places(raw: Mapping[str, Any], subject: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "the top level", {key: raw.get(key) for key in TOP_FIELDS}
    for name in ("rope_scaling", "rope_parameters"):
        part = raw.get(name)
        if part is None:
            continue
        if not isinstance(part, Mapping):
            raise ConfigError(f"{subject}: {name} = {part!r}: an object or null would be accepted")
        yield name, _one_for_all_layers(name, part, subject)


def _one_for_all_layers(name: str, part: Mapping[str, Any], subject: str) -> Mapping[str, Any]:
    nested = {key: value for key, value in part.items() if isinstance(value, Mapping)}
    if not nested:
        return part
    first: Mapping[str, Any] = next(iter(nested.values()))
    if len(nested) < len(part) or any(value != first for value in nested.values()):
        raise ConfigError(f"{subject}: {name} differs between {', '.join(part)}: all layers must share one RoPE")
    return first


def _rope_type(stated: Mapping[str, Any], subject: str) -> str:
    names = {key: stated[key] for key in ("rope_type", "type") if key in stated}
    types = {ALIASES.get(value, value) if isinstance(value, str) else repr(value) for value in names.values()}
    if len(types) > 1:
        raise ConfigError(f"{subject}: rope_type = {names['rope_type']!r} but type = {names['type']!r}: state one")
    rope_type: str = types.pop() if types else "default"
    if rope_type != "default" and rope_type not in SCALINGS:
        known = ["default", *SCALINGS, *ALIASES]
        raise ConfigError(
            f"{subject}: unknown rope_type {rope_type!r}{closest(rope_type, known)}; there are: {', '.join(known)}"
        )
    return rope_type


def _read_scaling(rope_type: str, stated: Mapping[str, Any], rope: RopeConfig, subject: str) -> PositionalConfig | None:
    reading = SCALINGS.get(rope_type, Scaling("rope", ()))
    fields = {key: value for key, value in stated.items() if key not in WITHOUT_EFFECT}
    if rope_type == "yarn" and rope.max_position > rope.original_window:
        fields.setdefault("factor", rope.max_position / rope.original_window)
    if unknown := fields.keys() - {*reading.required, *reading.optional}:
        accepted = ", ".join((*reading.required, *reading.optional)) or "none"
        raise ConfigError(
            f"{subject}: rope_type {rope_type!r} knows no {', '.join(map(repr, sorted(unknown)))}; fields: {accepted}"
        )
    if missing := [key for key in reading.required if key not in fields]:
        raise ConfigError(f"{subject}: rope_type {rope_type!r} lacks {', '.join(map(repr, missing))}")
    if rope_type == "default":
        return None
    try:
        scaling = positional.registry.config({"kind": reading.kind, **fields})
    except ConfigError as error:
        raise ConfigError(f"{subject}: rope_type {rope_type!r}: {error}") from None
    assert isinstance(scaling, PositionalConfig)
    for key in ("short_factor", "long_factor") if rope_type == "longrope" else ():
        if (count := len(getattr(scaling, key))) != rope.dim // 2:
            raise ConfigError(f"{subject}: {key} holds {count} factors, a head of {rope.dim} needs {rope.dim // 2}")
    return scaling


def _write_scaling(scaling: PositionalConfig) -> dict[str, Any]:
    for rope_type, reading in SCALINGS.items():
        if reading.kind == scaling.kind:
            chosen = scaling.model_dump(mode="json", exclude_defaults=True)
            optional = {key: chosen[key] for key in reading.optional if key in chosen}
            stated = scaling.model_dump(mode="json")
            return {"rope_type": rope_type, **{key: stated[key] for key in reading.required}, **optional}
    kinds = ", ".join(reading.kind for reading in SCALINGS.values())
    raise ConfigError(f"a config.json cannot state the scaling {scaling.kind!r}; it can state: {kinds}")
