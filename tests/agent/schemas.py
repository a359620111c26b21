"""Checks what is written and sent against the schemas that the package ships."""

import json
from functools import cache
from importlib import resources

from jsonschema import Draft202012Validator


@cache
def _validator(name: str) -> Draft202012Validator:
    text = resources.files("agent.schemas").joinpath(f"{name}.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def validate(name: str, value: object) -> None:
    """AssertionError naming every place where the value does not fit the schema."""
    problems = [f"{error.json_path}: {error.message}" for error in _validator(name).iter_errors(value)]
    assert not problems, f"{name}: {problems}"
