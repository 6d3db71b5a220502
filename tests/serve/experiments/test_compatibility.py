import pytest

from serve.experiments.compatibility import (
    SignatureDescription,
    TensorDescription,
    require_compatible,
    require_separate,
)
from serve.experiments.definition import Experiment
from serve.experiments.errors import DefinitionError, IncompatibleVariantsError
from tests.serve.experiments.definitions import make_experiment

IMAGE = TensorDescription("image", "FP32", (None, 1, 8, 8))
MASK = TensorDescription("mask", "BOOL", (None,))
SCORES = TensorDescription("scores", "FP32", (None, 10))
CONTROL = SignatureDescription((IMAGE, MASK), (SCORES,))


def make_ranged(name: str, low: float, high: float, group: str = "g", model: str = "digits") -> Experiment:
    exclusion = {"group": group, "from_percent": low, "to_percent": high}
    return make_experiment(name=name, model=model, stages={"steps": [1]}, exclusion=exclusion)


@pytest.mark.parametrize(
    "candidate",
    [
        CONTROL,
        SignatureDescription((MASK, IMAGE), (SCORES,)),
        SignatureDescription((IMAGE._replace(shape=(None,) * 4), MASK), (SCORES,)),
        SignatureDescription((IMAGE, MASK), (SCORES._replace(shape=(1, 10)),)),
        SignatureDescription((IMAGE, MASK), (SCORES._replace(shape=(None, None)),)),
    ],
    ids=["same", "other order", "wider input", "narrower output", "wider output"],
)
def test_a_candidate_may_take_more(candidate: SignatureDescription) -> None:
    require_compatible(CONTROL, candidate)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ((IMAGE,), (SCORES,), "input `mask`: expected to be there, got only `image`"),
        ((), (SCORES,), "input `image`: expected to be there, got only none"),
        (
            (IMAGE, MASK, MASK._replace(name="extra")),
            (SCORES,),
            "the inputs: expected no more than `image`, `mask`, got `extra` too",
        ),
        (
            (IMAGE, MASK._replace(datatype="INT8")),
            (SCORES,),
            "the datatype of input `mask`: expected `BOOL`, got `INT8`",
        ),
        (
            (IMAGE._replace(shape=(None, 3, 8, 8)), MASK),
            (SCORES,),
            "the shape of input `image`: expected `[-1, 1, 8, 8]`, got `[-1, 3, 8, 8]`",
        ),
        (
            (IMAGE._replace(shape=(1, 1, 8, 8)), MASK),
            (SCORES,),
            "the shape of input `image`: expected `[-1, 1, 8, 8]`, got `[1, 1, 8, 8]`",
        ),
        ((IMAGE, MASK._replace(shape=())), (SCORES,), "the shape of input `mask`: expected `[-1]`, got `[]`"),
        (
            (IMAGE, MASK),
            (SCORES._replace(shape=(None, 11)),),
            "the shape of output `scores`: expected `[-1, 10]`, got `[-1, 11]`",
        ),
        (
            (IMAGE, MASK),
            (SCORES._replace(name="\x1b" * 999),),
            "output `scores`: expected to be there, got only `?",
        ),
    ],
)
def test_the_first_difference_is_named(
    inputs: tuple[TensorDescription, ...], outputs: tuple[TensorDescription, ...], message: str
) -> None:
    with pytest.raises(IncompatibleVariantsError) as caught:
        require_compatible(CONTROL, SignatureDescription(inputs, outputs))
    assert str(caught.value).startswith("the candidate's model cannot stand in for the control's: " + message)
    assert len(str(caught.value)) < 400


def test_experiments_that_share_nothing_run_at_the_same_time() -> None:
    require_separate([])
    require_separate([make_experiment()])
    require_separate([make_experiment(), make_experiment(name="second", model="other")])
    require_separate([make_ranged("a", 0, 30), make_ranged("b", 30, 60), make_ranged("c", 60, 100)])
    require_separate([make_ranged("a", 30, 60), make_ranged("b", 0, 30)])
    require_separate([make_ranged("a", 0, 30, "g", "one"), make_ranged("b", 0, 30, "h", "two")])


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (
            [make_ranged("b", 29.9, 60)],
            "`b.exclusion`: expected a range outside 0 to 30 %, which experiment `a` has in that group, got "
            "29.9 to 60 %",
        ),
        ([make_ranged("b", 10, 20, model="two")], "`b.exclusion`: expected a range outside 0 to 30 %"),
        ([make_ranged("a", 30, 60)], "`a`: expected a name of its own, got `a` again"),
        (
            [make_ranged("b", 30, 60, group="h")],
            "`b.exclusion`: expected another range of one group, since experiment `a` has the same model "
            "`digits`, got none in common; give both an `exclusion` with the same group, or stop "
            "experiment `a` "
            "first",
        ),
        ([make_experiment(name="b")], "`b.exclusion`: expected another range of one group"),
    ],
)
def test_experiments_that_could_meet_in_a_unit_are_refused(others: list[Experiment], message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        require_separate([make_ranged("a", 0, 30), *others])
    assert str(caught.value).startswith(message)
