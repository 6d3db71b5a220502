"""Files with mistakes, each with its line and column; and files of any definition, read back equal."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.experiments.definition import Experiment
from serve.experiments.errors import DefinitionError
from serve.experiments.parsing import parse_experiment
from serve.experiments.reading import MAX_EXPERIMENTS, MAX_FILE_BYTES, file_schema, read_experiments
from serve.experiments.yaml_documents import MAX_VALUES
from tests.serve.experiments.definitions import make_document

GOOD = """\
experiments:
  - name: checkout
    model: digits
    control: {name: relu, version: stable}
    candidates:
      - name: adaptive
        version: 3
    metrics:
      - name: bought
        kind: binary
        is_primary: true
    allow_list:
      0042: adaptive
      no: relu
"""


def read(folder: Path, text: str | bytes) -> tuple[Experiment, ...]:
    path = folder / "experiments.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_experiments(path)


def find_mistakes(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        read(folder, text)
    return [str(mistake).removeprefix(f"{folder}/experiments.yaml:") for mistake in caught.value.mistakes]


def test_a_file_as_people_write_it(tmp_path: Path) -> None:
    (experiment,) = read(tmp_path, GOOD)
    assert experiment.control.version == "stable"
    assert experiment.candidates[0].version == "3"
    assert experiment.allow_list == {"0042": "adaptive", "no": "relu"}
    assert read(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()) == (experiment,)


@pytest.mark.parametrize(
    ("old", "new", "is_valid"),
    [
        ("digits", "other", True),
        ("version: 3", "version: next", True),
        ("kind: binary", "kind: binray", False),
        ("metrics:", "metrisc:", False),
        ("experiments:", "experiment:", False),
    ],
)
def test_editors_get_a_schema_of_the_file(tmp_path: Path, old: str, new: str, is_valid: bool) -> None:
    schema = file_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    text = GOOD.replace("0042", "'0042'").replace("no:", "'no':").replace(old, new)
    assert jsonschema.Draft202012Validator(schema).is_valid(yaml.safe_load(text)) == is_valid
    if is_valid:
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: binary", "kind: binray", "10:15: `metrics[0].kind`: expected one of: `binary`, `mean`, "),
        (
            "    metrics:",
            "    metrisc:",
            "8:5: expected a known field, got `metrisc`; did you mean `metrics`?",
        ),
        (
            "is_primary: true",
            "is_primary: yes",
            "11:21: `metrics[0].is_primary`: expected `true` or `false`, ",
        ),
        (
            "        is_primary: true\n",
            "",
            "8:5: `metrics`: expected a primary metric, got none among `bought`",
        ),
        (
            "      - name: adaptive\n        version",
            "      - version",
            "6:9: `candidates[0].name`: expected a name",
        ),
        (
            "no: relu",
            "no: rulu",
            "14:11: `allow_list.no`: expected a variant, one of: `relu`, `adaptive`, got",
        ),
        ("no: relu", "'': relu", "14:7: `allow_list`: expected keys of 1 to 512 characters, got the text ``"),
        (
            "no: relu",
            "no:",
            "14:10: `allow_list.no`: expected a name of up to 64 letters, digits and `._-`, got",
        ),
        (
            "no: relu",
            "0042: relu",
            "14:7: expected each key once, got `0042` again, as in line 13; remove one",
        ),
        (
            "version: 3",
            "version: 3.0",
            "7:18: `candidates[0].version`: expected a version such as `2`, or an",
        ),
        (
            "version: stable",
            "version: *stable",
            "4:36: expected no anchors and aliases, got `stable`; write the",
        ),
        (
            "version: stable",
            "version: &x stable",
            "4:36: expected no anchors and aliases, got `x`; write the",
        ),
        (
            "name: checkout",
            "name: !!python/object:os.system x",
            "2:11: expected no tags, got `tag:yaml.org,2002:",
        ),
        ("name: checkout", "? [a, b]\n    : x", "2:7: expected a text as key, got a list or a mapping"),
        ("stable}", "stable", "5:15: expected YAML, got `did not find expected ',' or '}'`"),
        (
            "  - name: check",
            "\t- name: check",
            "2:1: expected YAML, got `found character that cannot start any ",
        ),
        ("name: checkout", "name: 'checkout", "15:1: expected YAML, got `found unexpected end of stream`"),
        ("name: checkout", "name: check\aout", "2:16: expected characters that YAML allows, got `U+0007`"),
        ("name: checkout", f"name: {'9' * 65}", "2:11: expected a number of at most 64 characters, got `999"),
        ("name: checkout", f"name: {'[' * 16}", "2:24: expected at most 16 levels, got more"),
        (
            "experiments:",
            "---\na: 1\n---\nexperiments:",
            "3:1: expected one document, got another one; remove",
        ),
        (
            "experiments:",
            "experiment:",
            "1:1: expected only the key `experiments`, got `experiment`; write the",
        ),
    ],
)
def test_a_mistake_has_its_line_and_column(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert GOOD.count(old) == 1
    assert find_mistakes(tmp_path, GOOD.replace(old, new))[0].startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "1:1: expected a mapping with the key `experiments`, got `null`; write the definitions as a list",
        ),
        ("# only a comment\n", "1:1: expected a mapping with the key `experiments`, got `null`"),
        ("text", "1:1: expected a mapping with the key `experiments`, got the text `text`"),
        ("- a", "1:1: expected a mapping with the key `experiments`, got a list of 1"),
        ("experiments: []", f"1:1: expected a list of 1 to {MAX_EXPERIMENTS} definitions, got a list of 0"),
        (
            "experiments: {a: 1}",
            f"1:1: expected a list of 1 to {MAX_EXPERIMENTS} definitions, got a mapping of 1",
        ),
        (
            "experiments:\n" + "- 1\n" * 101,
            f"1:1: expected a list of 1 to {MAX_EXPERIMENTS} definitions, got a l",
        ),
        ("experiments:\n- 1", "2:3: expected a mapping with the fields `name`, `model`, "),
        (
            b"experiments:\n- n\xe9",
            "2:4: expected UTF-8, got the byte 0xe9; save the file in the encoding UTF-8",
        ),
        (GOOD.encode("utf-16"), "1:1: expected UTF-8, got the byte 0xff"),
        ("a: b: c", "1:5: expected YAML, got `mapping values are not allowed in this context`"),
        ("x" * (MAX_FILE_BYTES + 1), " expected at most 1,048,576 bytes, got more"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else "bytes",
)
def test_files_that_hold_something_else(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert find_mistakes(tmp_path, text)[0].startswith(message)


def test_the_mistakes_of_all_experiments_are_named_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("digits", "'a b'") + GOOD.replace("kind: binary", "kind: x").partition("\n")[2]
    text += GOOD.partition("\n")[2] + GOOD.partition("\n")[2]
    found = [mistake[:24] for mistake in find_mistakes(tmp_path, text)]
    assert found == ["3:12: `model`: expected ", "23:15: `metrics[0].kind`", "41:11: `name`: expected "]


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_what_is_no_file_cannot_be_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "experiments.yaml"
    if kind == "folder":
        path.mkdir()
    with pytest.raises(DefinitionError, match=r"experiments\.yaml: expected a file that can be read, got"):
        read_experiments(path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * MAX_FILE_BYTES,
        "{a: " * (MAX_FILE_BYTES // 4),
        "- " * (MAX_FILE_BYTES // 2),
        "a: &a [x, x]\nb: &b [*a, *a]\n" * 100,
        "? " * (MAX_FILE_BYTES // 2),
        "\x00" * MAX_FILE_BYTES,
        "'" * (MAX_FILE_BYTES - 1),
    ],
    ids=["lists", "mappings", "items", "aliases", "keys", "zeros", "quotes"],
)
def test_hostile_files_cost_little(tmp_path: Path, text: str) -> None:
    """Each ends with one mistake; the suite's own limits would show one that takes long."""
    assert len(find_mistakes(tmp_path, text)) == 1


def test_values_are_counted_before_they_are_kept(tmp_path: Path) -> None:
    (mistake,) = find_mistakes(tmp_path, "experiments: [" + "[]," * MAX_VALUES)
    assert mistake == "1:300009: expected at most 100,000 values, got more"


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}", fullmatch=True)
UNITS = st.text(min_size=1, max_size=20).filter(lambda unit: unit == unit.strip())
VERSIONS = st.one_of(st.none(), st.integers(1, 10**18 - 1), st.sampled_from(["stable", "next-1", "7"]))
SHARES = st.floats(0, 1)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Any definition that is consistent."""
    names = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True))
    variants = [{"name": name, "version": draw(VERSIONS)} for name in names]
    kinds = draw(st.lists(st.sampled_from(["binary", "mean"]), max_size=3))
    metrics = [{"name": f"m{number}", "kind": kind, "is_primary": True} for number, kind in enumerate(kinds)]
    return make_document(
        name=draw(NAMES),
        control=variants[0],
        candidates=variants[1:],
        metrics=metrics,
        alpha=draw(st.floats(0.0001, 0.5)),
        stages={
            "shadow_share": draw(SHARES),
            "steps": sorted(draw(st.sets(st.floats(0.01, 100), min_size=1)))[:20],
        },
        allow_list=draw(st.dictionaries(UNITS, st.sampled_from(names), max_size=4)),
        log=draw(st.one_of(st.none(), st.fixed_dictionaries({"share": SHARES}))),
        hide_from_replies=draw(st.sampled_from([True, False, "none", "headers", "parameters", "all"])),
    )


class QuotingDumper(yaml.SafeDumper):
    """Quotes texts, since PyYAML writes some plainly that only YAML 1.1 reads as texts, such as 1e5."""


QuotingDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, '"')
)


@settings(max_examples=50)
@given(document=documents(), is_flow=st.booleans())
def test_any_definition_is_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any], is_flow: bool
) -> None:
    experiment = parse_experiment(document)
    content = {"experiments": [experiment.model_dump(mode="json")]}
    text = yaml.dump(content, Dumper=QuotingDumper, default_flow_style=is_flow, allow_unicode=True)
    assert read(tmp_path_factory.getbasetemp(), text) == (experiment,)
