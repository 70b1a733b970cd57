"""Names of the form ``module:function``, and what each setting that takes one says of a wrong one."""

from __future__ import annotations

import json
import os

import pytest

from breadth.commands.files import load_function as of_parser
from breadth.dotted import load_dotted
from breadth.partitions.keys import named_key
from breadth.plugins.verl.settings import load_function as of_verl
from breadth.tasks.oracles.worker import import_function
from breadth.tasks.scorers import scorer_of

WORDS = {"malformed": "m {name!r}", "missing": "x {name!r} {error}", "uncallable": "u {name} {kind}"}


def test_what_a_name_points_to():
    assert load_dotted("json:loads", **WORDS) is json.loads
    assert load_dotted("os.path:join", **WORDS) is os.path.join
    assert load_dotted("json:JSONDecoder.decode", **WORDS) is json.JSONDecoder.decode
    assert load_dotted("os:sep", malformed="", missing="") == os.sep  # where anything may be named


@pytest.mark.parametrize(
    "name", ["", ":", "json", "json:", ":loads", ".json:loads", "json.:loads", "json:.loads", "json:a..b"]
)
def test_what_is_not_of_the_form(name):
    with pytest.raises(ValueError) as caught:
        load_dotted(name, **WORDS)
    assert str(caught.value) == f"m {name!r}"


@pytest.mark.parametrize("name", ["nowhere:f", "json:nothing", "json:loads:twice", "json:loads.a", "{x}:f", "\0:f"])
def test_what_is_not_there(name):
    with pytest.raises(LookupError) as caught:
        load_dotted(name, missing_as=LookupError, **WORDS)
    assert str(caught.value).startswith(f"x {name!r} ") and caught.value.__cause__ is not None


def test_what_cannot_be_called():
    with pytest.raises(ValueError, match="u os:sep str"):
        load_dotted("os:sep", **WORDS)


def test_what_a_module_raises_by_itself_goes_through(tmp_path, monkeypatch):
    (tmp_path / "fails_when_imported.py").write_text("raise KeyError('mine')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyError, match="mine"):
        load_dotted("fails_when_imported:f", **WORDS)


@pytest.mark.parametrize(
    ("load", "error", "malformed", "missing", "uncallable"),
    [
        (named_key, ValueError, "expected one of words, .* got '.json:f'", r"key: there is no function 'no:f' \(", "'os:sep' is no function but str"),
        (lambda n: scorer_of(n, {}), ImportError, "quality: expected reward_model, .* got '.json:f'", "quality: cannot load no:f: ", None),
        (import_function, ValueError, "oracle '.json:f': expected 'module:function'", "can be imported, got an error: No module", "got str"),
        (lambda n: of_verl(n, "k"), ValueError, "k: expected module:function, got", "k: cannot load 'no:f': .* driver", "'os:sep' is of type str"),
        (of_parser, ValueError, "--parser: expected MODULE:FUNCTION .*", "--parser: cannot load 'no:f': ", "a function in 'os:sep', got str"),
    ],
    ids=["key", "quality", "oracle", "verl", "parser"],
)  # fmt: skip
def test_the_sentences_of_each_setting(load, error, malformed, missing, uncallable, monkeypatch):
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    with pytest.raises(ValueError, match=malformed):
        load(".json:f")
    with pytest.raises(error, match=missing):
        load("no:f")
    if uncallable is not None:
        with pytest.raises(ValueError, match=uncallable):
            load("os:sep")
