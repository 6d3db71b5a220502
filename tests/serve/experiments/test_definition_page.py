"""The page about definitions: its example is read, its tables hold every field and every default."""

import re
from pathlib import Path

import pytest

from serve.experiments.definition import DEFAULT_MARGINS, Experiment, Metric
from serve.experiments.errors import DefinitionError
from serve.experiments.reading import read_experiments
from serve.experiments.stages import COMPARED, STAGES, Phase, possible_acts
from tests.serve.experiments.definitions import make_experiment

PAGE = (Path(__file__).parents[3] / "docs" / "experiment-definition.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"```yaml[^\n]*\n(.*?)```", PAGE, re.DOTALL)
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:1] == "|"
]


def test_the_example_is_read(tmp_path: Path) -> None:
    path = tmp_path / "experiments.yaml"
    path.write_text(EXAMPLE)
    (experiment,) = read_experiments(path)
    assert experiment.candidates[0].version == "2"
    path.write_text(EXAMPLE.replace("binary", "binray"))
    with pytest.raises(DefinitionError) as caught:
        read_experiments(path)
    assert f"```text\n{str(caught.value).removeprefix(f'{tmp_path}/')}\n```" in PAGE


@pytest.mark.parametrize("record", [Experiment, Metric])
def test_every_field_has_its_row(record: type[Experiment | Metric]) -> None:
    named = {name for row in ROWS for name in re.findall(r"`(\w+)`", row[0])}
    assert set(record.model_fields) <= named


@pytest.mark.parametrize(("kind", "margin"), DEFAULT_MARGINS.items())
def test_every_margin_is_the_default(kind: str, margin: float) -> None:
    assert [row[1] for row in ROWS if row[0] == f"`{kind}`"] == [f"{margin:g}"]


def test_every_stage_and_act_is_in_the_table() -> None:
    acts = {row[0]: re.findall(r"\w+(?=,|$| \()", row[2]) for row in ROWS if row[0] in STAGES}
    phases = [Phase(1, 1, stage, 1.0, 0, "", "") for stage in STAGES]
    assert acts == {phase.stage: list(possible_acts(make_experiment(), phase)) for phase in phases}


def test_what_begins_a_comparison_is_listed() -> None:
    listed = PAGE.partition("where what is compared")[2].partition(";")[0]
    assert re.findall(r"`(\w+)`", listed) == list(COMPARED)
