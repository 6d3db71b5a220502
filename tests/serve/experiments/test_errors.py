import pytest

from serve.engine.errors import EngineError
from serve.experiments.errors import (
    DefinitionError,
    ExperimentError,
    Mistake,
    StageError,
    UnknownExperimentError,
)

WRONG_KIND = Mistake(
    "metrics[0].kind",
    "one of: `binary`, `mean`",
    "`binray`",
    "did you mean `binary`?",
    file="experiments.yaml",
    line=12,
    column=7,
)


def test_a_mistake_names_place_field_expectation_and_remedy() -> None:
    assert str(WRONG_KIND) == (
        "experiments.yaml:12:7: `metrics[0].kind`: expected one of: `binary`, `mean`, got `binray`; "
        "did you mean `binary`?"
    )


def test_a_mistake_without_a_place_says_none() -> None:
    assert str(Mistake("alpha", "a number from 0.0001 to 0.5", "`2`")) == (
        "`alpha`: expected a number from 0.0001 to 0.5, got `2`"
    )
    assert str(Mistake("", "a file", "a folder", file="experiments.yaml")) == (
        "experiments.yaml: expected a file, got a folder"
    )


def test_a_definition_error_shows_its_first_mistake_and_counts_the_others() -> None:
    second = Mistake("alpha", "a number", "`x`")
    assert str(DefinitionError([second])) == str(second)
    assert str(DefinitionError([WRONG_KIND, second])) == f"{WRONG_KIND}; and 1 more"
    error = DefinitionError([WRONG_KIND, second, second])
    assert str(error) == f"{WRONG_KIND}; and 2 more"
    assert error.mistakes == (WRONG_KIND, second, second)


def test_a_stage_error_says_what_is_possible() -> None:
    error = StageError("`exp` cannot be paused: it is a draft", ("start", "amend"))
    assert str(error) == "`exp` cannot be paused: it is a draft; possible now: `start`, `amend`"
    assert error.possible == ("start", "amend")


@pytest.mark.parametrize("name", ["\x1b[2J", "x" * 10**6, None, {"a": 1}])
def test_an_unknown_name_is_shown_safely(name: object) -> None:
    message = str(UnknownExperimentError(name, ["known"]))
    assert len(message) < 200
    assert message.isprintable()
    assert message.endswith("known: `known`")


@pytest.mark.parametrize("kind", ExperimentError.__subclasses__())
def test_every_error_is_the_engines(kind: type[ExperimentError]) -> None:
    assert issubclass(kind, EngineError)
