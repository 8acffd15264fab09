"""The JSON Schema of rule files against the code, the shipped files and mistakes that editors should mark."""

import json
import tomllib

import jsonschema
import msgspec
import pytest

from remap.cli.main import main
from remap.layout import expression
from remap.rules import schema
from remap.rules.json_schema import FILE_NAME, rules_schema, schema_text
from remap.rules.shipped import shipped_folder

FOLDER = shipped_folder()
SHIPPED = sorted(FOLDER.rglob("*.toml"))
WORDS = {**vars(expression), **vars(schema)}


def errors_of(text):
    return list(jsonschema.Draft7Validator(rules_schema()).iter_errors(tomllib.loads(text)))


def test_schema_in_the_repository_is_the_one_that_the_code_makes(capsys):
    main(["schema"])
    printed = capsys.readouterr().out
    kept = (FOLDER / FILE_NAME).read_text("utf-8")
    assert printed == schema_text() == kept, "run: remap schema > rules/rules.schema.json"


def test_schema_is_valid_itself():
    jsonschema.Draft7Validator.check_schema(rules_schema())


def test_every_word_is_described():
    found = rules_schema()
    tables = {"": found, **found["$defs"]}
    assert len(tables) >= 13
    bare = [
        f"{name}.{word}"
        for name, table in tables.items()
        for word, entry in table["properties"].items()
        if not entry.get("description")
    ]
    assert bare == []


def test_every_struct_of_the_language_is_in_the_schema():
    structs = {
        name
        for name, value in WORDS.items()
        if isinstance(value, type) and issubclass(value, schema.Table) and value is not schema.Table
    }
    assert structs == {*rules_schema()["$defs"], "Document"}
    for name in structs - {"Document"}:
        words = {field.encode_name for field in msgspec.structs.fields(WORDS[name])}
        assert words == set(rules_schema()["$defs"][name]["properties"])


@pytest.mark.parametrize("path", SHIPPED, ids=[str(path.relative_to(FOLDER)) for path in SHIPPED])
def test_shipped_file_names_the_schema_and_fits_it(path):
    text = path.read_text("utf-8")
    first = text.splitlines()[0]
    assert first.startswith("#:schema ")
    assert (path.parent / first.removeprefix("#:schema ")).resolve() == (FOLDER / FILE_NAME).resolve()
    assert errors_of(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "[about]\nsource = 'x'",
        "format = 2",
        "format = 1\n[[rename]]\nmatch = 'a'",
        "format = 1\n[[rename]]\nmatch = 'a'\nto = 'b'\nlayot = 'conv2d'",
        "format = 1\n[move.dense]\n'a' = { to = ['b', 'c'], split = { o = 1 } }",
        "format = 1\n[move.dense]\n'a' = { to = ['b', 'c'], split = 'o' }",
        "format = 1\n[batchnorm]\non_mismatch = 'ignore'",
        "format = 1\n[[ignore]]\nmatch = 'a'\nreason = ''",
        "format = 1\n[layouts.x]\nkernel = { from = 'w', axis = 'a b -> b a' }",
        "format = 1\nrenames = []",
    ],
)
def test_mistakes_that_editors_mark(text):
    assert errors_of(text)


def test_values_that_toml_has_not_are_not_offered():
    assert "null" not in json.dumps(rules_schema())
