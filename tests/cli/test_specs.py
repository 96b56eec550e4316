"""Methods as one writes them on a command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from lampe.attention import registry as backends
from lampe.cli.specs import parse_setting, parse_spec, spec_text, split_specs
from lampe.errors import LampeError
from lampe.positional import registry


def parse(text: str, *settings: str) -> dict[str, object]:
    return parse_spec(registry, text, settings).model_dump(exclude_defaults=True) | {
        "kind": parse_spec(registry, text, settings).model_dump()["kind"]
    }


LAMPE = {"kind": "lampe", "head": 512, "span": 4096}


def test_the_forms_of_one_method(tmp_path: Path) -> None:
    file = tmp_path / "method.json"
    file.write_text(json.dumps(LAMPE))
    for text in (
        "lampe:head=512:span=4096",
        json.dumps(LAMPE),
        str(file),
        "LaMPE:head=512:span=4096",
        " lampe:head=512:span=4096 ",
    ):
        assert parse(text) == LAMPE
    assert parse("lampe", "head=512", "span=4096") == LAMPE


def test_settings_win_over_the_text() -> None:
    assert parse("lampe:head=512:span=64", "span=4096") == LAMPE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rope", {"kind": "rope"}),
        ("dynamic", {"kind": "dynamic-ntk"}),
        ("yarn:factor=4:truncate=false", {"kind": "yarn", "factor": 4.0, "truncate": False}),
        ("lampe:span=auto:profile=llama3", {"kind": "lampe", "profile": "llama3"}),
        ("lampe:checkpoint-scaling=off:log-n=true", {"kind": "lampe", "checkpoint_scaling": "off", "log_n": True}),
        (
            "longrope:short_factor=[1, 2]:long_factor=[3.5, 4]",
            {"kind": "longrope", "short_factor": (1.0, 2.0), "long_factor": (3.5, 4.0)},
        ),
    ],
)
def test_values_are_json(text: str, expected: dict[str, object]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("head=512", ("head", 512)),
        ("temperature=1.5", ("temperature", 1.5)),
        ("log-n=true", ("log_n", True)),
        ("head=null", ("head", None)),
        ("variant=paper", ("variant", "paper")),
        ('variant="paper"', ("variant", "paper")),
        ("profile=C:\\a=b.json", ("profile", "C:\\a=b.json")),
        ("profile=", ("profile", "")),
    ],
)
def test_settings(text: str, expected: tuple[str, object]) -> None:
    assert parse_setting(text) == expected


def test_a_value_may_hold_a_colon(tmp_path: Path) -> None:
    file = tmp_path / "a:b.json"
    file.write_text(json.dumps({"a": 1e-4, "b": -2.0, "l_max": 3000.0}))
    expected = {"kind": "lampe", "profile": str(file), "head": 64}
    assert parse(f"lampe:profile={file}:head=64") == parse(f"lampe:head=64:profile={file}") == expected


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("rope", ["rope"]),
        ("rope,yarn:factor=4, lampe:head=512:span=4096 ,", ["rope", "yarn:factor=4", "lampe:head=512:span=4096"]),
        (
            'longrope:short_factor=[1,2]:long_factor=[3,4],{"kind": "yarn", "factor": 2},rope',
            ["longrope:short_factor=[1,2]:long_factor=[3,4]", '{"kind": "yarn", "factor": 2}', "rope"],
        ),
        ('lampe:profile="a,b.json",rope', ['lampe:profile="a,b.json"', "rope"]),
        (r'lampe:profile="a\",b.json",rope', [r'lampe:profile="a\",b.json"', "rope"]),
    ],
)
def test_a_list_is_cut_at_its_own_commas(text: str, parts: list[str]) -> None:
    assert split_specs(text) == parts


FIELDS = (
    "kind, temperature, log_n, length, original_window, sliding_window, checkpoint_scaling, head, tail, span, "
    "profile, force_profile, variant, fractional"
)
FORMS = 'a name, "name:field=value:field=value", a JSON object, or a .json file'
NAMES = ", ".join(registry.names())
BAD = {
    "lamp": f"unknown positional method 'lamp' (did you mean 'lampe'?); there are: {NAMES}",
    "lampe:heads=1": f"positional method 'lampe': unknown field 'heads' (did you mean 'head'?); fields: {FIELDS}",
    "lampe:head=-1": "positional method 'lampe': head = -1: input should be greater than or equal to 0",
    "lampe:variant=spam": ("positional method 'lampe': variant = 'spam': input should be 'span', 'paper' or 'release'"),
    "lampe:head": (f"positional method 'lampe:head': expected {FORMS}"),
    "": (f"positional method '': expected {FORMS}"),
    '{"kind": "rope"': (
        'positional method {"kind": "rope" is no JSON: Expecting \',\' delimiter: line 1 column 16 (char 15)'
    ),
    "{}": f"a positional method needs a 'kind', got {{}}; kinds: {NAMES}",
    "missing.json": "positional method file missing.json cannot be read: No such file or directory",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(LampeError) as caught:
        parse_spec(registry, text)
    assert str(caught.value) == BAD[text]


def test_a_setting_needs_an_equals_sign() -> None:
    for text in ("head", "=3"):
        with pytest.raises(LampeError) as caught:
            parse_setting(text)
        assert str(caught.value) == f"setting {text!r}: expected field=value, such as head=512"


def test_a_file_that_holds_no_object(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text("[1]")
    with pytest.raises(LampeError) as caught:
        parse_spec(registry, str(file))
    assert str(caught.value) == f"positional method file {file} holds a JSON list: an object would be accepted"


def test_backends_are_read_the_same_way() -> None:
    assert parse_spec(backends, "dense").model_dump()["kind"] == "dense"


CONFIGS = st.one_of(
    st.builds(lambda factor: {"kind": "yarn", "factor": factor}, st.floats(1, 64)),
    st.builds(
        lambda head, span, log_n: {"kind": "lampe", "head": head, "span": span, "log_n": log_n},
        st.integers(1, 4096),
        st.one_of(st.integers(1, 9999), st.just("auto")),
        st.booleans(),
    ),
    st.builds(
        lambda short, long: {"kind": "longrope", "short_factor": short, "long_factor": long},
        st.lists(st.floats(1, 9), min_size=1),
        st.lists(st.floats(1, 9), min_size=1),
    ),
)


@given(st.lists(CONFIGS.map(registry.config), max_size=4))
def test_what_is_written_reads_back(configs: list[BaseModel]) -> None:
    texts = split_specs(",".join(map(spec_text, configs)))
    assert [parse_spec(registry, text) for text in texts] == configs
