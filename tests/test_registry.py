"""The registry: what it accepts, what it refuses, and how it says so."""

from __future__ import annotations

from importlib import metadata
from typing import Literal

import pytest
from pydantic import BaseModel

from lampe.config import FrozenModel
from lampe.errors import ConfigError, UnknownNameError
from lampe.registry import PluginWarning, Registry


class Animal:
    def __init__(self, config: BaseModel, context: str = ""):
        self.config = config
        self.context = context


def make() -> Registry[Animal]:
    registry: Registry[Animal] = Registry("lampe.test_animals", Animal, "animal")

    @registry.register("dog", summary="barks", paper="https://example.org/dog", aliases=("hound",))
    class Dog(Animal):
        class Config(FrozenModel):
            kind: Literal["dog"] = "dog"
            legs: int = 4

    @registry.register("sea-lion", summary="swims")
    class SeaLion(Animal):
        class Config(FrozenModel):
            kind: Literal["sea-lion"] = "sea-lion"

    return registry


def cat() -> type[Animal]:
    class Cat(Animal):
        class Config(FrozenModel):
            kind: Literal["cat"] = "cat"

    return Cat


def test_names_aliases_and_what_is_known():
    registry = make()
    assert registry.names() == ["dog", "sea-lion"]
    assert registry.names("sea*") == ["sea-lion"]
    assert registry.get("hound") is registry.get("DOG")
    assert registry.entry("sea_lion").name == "sea-lion"
    assert (registry.entry("dog").summary, registry.entry("dog").paper) == ("barks", "https://example.org/dog")


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (5, "animal 5: a name, or kind and fields, would be accepted; kinds: dog, sea-lion"),
        (None, "animal None: a name, or kind and fields, would be accepted"),
        ([["kind", "dog"]], "animal [['kind', 'dog']]: a name, or kind and fields, would be accepted"),
        ({"kind": "dog", True: 3}, "animal 'dog': True is no name of a field (YAML reads on, off, yes and no as true"),
    ],
)
def test_what_is_no_spec_is_one_sentence(spec, sentence: str):
    with pytest.raises(ConfigError) as error:
        make().config(spec)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("spec", ["dog", {"kind": "dog"}, {"kind": "hound", "legs": 3}])
def test_create_from_a_name_a_mapping_or_a_config(spec):
    registry = make()
    animal = registry.create(spec, "here")
    assert animal.config == registry.config(registry.config(spec))
    assert (animal.config.kind, animal.context) == ("dog", "here")
    assert animal.config.legs == (spec.get("legs", 4) if isinstance(spec, dict) else 4)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("dgo", UnknownNameError, r"unknown animal 'dgo' \(did you mean 'dog'\?\); there are: dog, sea-lion"),
        ("zebra", UnknownNameError, r"unknown animal 'zebra'; there are: dog, sea-lion"),
        ({"legs": 3}, ConfigError, r"an? animal needs a 'kind', got \{'legs': 3\}; kinds: dog, sea-lion"),
        ({"kind": "dog", "leg": 3}, ConfigError, r"animal 'dog': unknown field 'leg' \(did you mean 'legs'\?\)"),
        ({"kind": "dog", "legs": "x"}, ConfigError, r"animal 'dog': legs = 'x': input should be a valid integer"),
    ],
)
def test_bad_specs_get_one_sentence(spec, error, message):
    with pytest.raises(error, match=message) as caught:
        make().create(spec)
    assert "\n" not in str(caught.value)


def test_a_duplicate_name_or_alias_is_an_error():
    registry = make()
    with pytest.raises(ValueError, match=r"animal 'dog' is already registered by tests\.test_registry"):
        registry.register("dog", summary="again")(registry.get("dog"))
    Cat = cat()
    with pytest.raises(ValueError, match="'hound' is already registered"):
        registry.register("cat", summary="purrs", aliases=("hound",))(Cat)
    assert registry.names() == ["dog", "sea-lion"]


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("my_cat", "'my-cat'"),
        ("HouseCat", "'housecat'"),
        ("cat:big", 'small letters, digits, "-" and "."'),
        ("", 'small letters, digits, "-" and "."'),
    ],
)
def test_a_name_or_alias_that_no_look_up_finds_is_refused(name: str, accepted: str):
    registry = make()

    class Named(Animal):
        Config = type("Config", (FrozenModel,), {"kind": name, "__annotations__": {"kind": str}})

    for spelled, aliases, cls in ((name, (), Named), ("cat", (name,), cat())):
        with pytest.raises(ValueError, match="animal") as error:
            registry.register(spelled, summary="purrs", aliases=aliases)(cls)
        assert str(error.value) == (
            f'animal {name!r}: look-ups take any case and "_" for "-", so {accepted} would be accepted'
        )
    assert registry.names() == ["dog", "sea-lion"]


def test_only_the_base_with_a_frozen_config_of_its_own_kind_is_accepted():
    registry = make()
    with pytest.raises(TypeError, match="does not derive from Animal"):
        registry.register("int", summary="")(int)
    with pytest.raises(TypeError, match="write `kind: Literal"):
        registry.register("lynx", summary="")(cat())

    class Bare(Animal):
        class Config(BaseModel):
            kind: Literal["bare"] = "bare"

    with pytest.raises(TypeError, match="owns no frozen pydantic class named Config"):
        registry.register("bare", summary="")(Bare)

    class Heir(registry.get("dog")):
        pass

    with pytest.raises(TypeError, match="owns no frozen"):
        registry.register("heir", summary="")(Heir)


def test_a_temporary_name_is_gone_afterwards():
    registry = make()
    with registry.temporarily("cat", cat()) as Cat:
        assert isinstance(registry.create("cat"), Cat)
    with pytest.raises(UnknownNameError):
        registry.get("cat")


def test_entry_points_are_loaded_on_first_need(monkeypatch):
    loaded = []

    class Point:
        def load(self) -> None:
            loaded.append(self)
            registry.register("cat", summary="purrs")(cat())

    monkeypatch.setattr(metadata, "entry_points", lambda group: [Point()] if group == "lampe.test_animals" else [])
    registry = make()
    assert loaded == []
    assert registry.names() == ["cat", "dog", "sea-lion"]
    registry.get("cat")
    assert len(loaded) == 1


def test_a_broken_plugin_is_named_and_left_out(monkeypatch):
    points = [
        metadata.EntryPoint("bad", "no_such_module:Bad", "lampe.test_animals"),
        metadata.EntryPoint("json", "json", "lampe.test_animals"),
    ]
    monkeypatch.setattr(metadata, "entry_points", lambda group: points)
    registry = make()
    with pytest.warns(PluginWarning, match=r"the plug-in 'bad' \(animal, no_such_module:Bad\) cannot be loaded"):
        assert registry.names() == ["dog", "sea-lion"]


def test_a_plugin_that_forgets_to_register_its_class_is_named(monkeypatch):
    point = metadata.EntryPoint("json", "json:JSONDecoder", "lampe.test_animals")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point])
    with pytest.warns(PluginWarning, match=r"'json' \(animal, json:JSONDecoder\) is left out: JSONDecoder is not reg"):
        assert make().names() == ["dog", "sea-lion"]
