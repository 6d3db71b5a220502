from dataclasses import replace
from pathlib import Path

import pytest

from adaptive_act.errors import FactoryError, StudyError
from adaptive_act.study import Training, study
from adaptive_act.study.data import load_dataset
from adaptive_act.study.own_code import digest_source, resolve_loop
from adaptive_act.study.plan import make_run_spec
from adaptive_act.study.run import RunResult, run
from tests.adaptive_act.study import loops
from tests.adaptive_act.study.models import plan

OPTIONS = {"epochs": 3, "batch": 32}


def train_with(loop: str) -> RunResult:
    asked = plan(rates=(0.1,), training=Training(**OPTIONS, loop=f"{loops.__name__}:{loop}"))  # type: ignore[arg-type]
    return run(make_run_spec(asked, load_dataset(asked.data).digest, "PReLU", 0)).result


def test_an_own_loop_trains_and_tells_its_course() -> None:
    result = train_with("descend")
    assert result.score > 0.5
    assert result.diverged is None
    assert len(result.curves.training_loss) == len(result.curves.validation_score) == 3
    assert result.curves.validation_loss[-1] < result.curves.validation_loss[0]
    assert result == train_with("descend")


def test_an_own_loop_may_tell_of_no_epoch() -> None:
    assert train_with("shift").curves.training_loss == []


@pytest.mark.parametrize(("loop", "words"), [("overflow", "not finite"), ("give_up", "lost")])
def test_a_loop_that_diverges_is_counted(loop: str, words: str) -> None:
    assert words in str(train_with(loop).diverged)


@pytest.mark.parametrize(
    ("loop", "words"),
    [("leave", "left every parameter"), ("copy", "got a `Linear`"), ("halve", "same dtypes and shapes")],
)
def test_a_loop_that_breaks_its_promise_is_refused(loop: str, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        train_with(loop)


@pytest.mark.parametrize(
    ("loop", "error", "words"),
    [
        (f"{loops.__name__}:takes_less", StudyError, r"\(model, train, validation, \*, lr, seed"),
        (f"{loops.__name__}:no_such", FactoryError, "no_such"),
        ("nowhere:loop", FactoryError, "nowhere"),
    ],
)
def test_a_loop_that_cannot_be_called_fails_before_training(
    loop: str, error: type[Exception], words: str, tmp_path: Path
) -> None:
    asked = plan(training=Training(loop=loop))
    with pytest.raises(error, match=words):
        study(asked, tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()


def test_options_of_the_built_in_loop_are_refused_beside_an_own_one() -> None:
    with pytest.raises(ValueError, match="built-in training"):
        Training(loop="mine:train", patience=3)


def test_a_builtin_without_signature_is_refused() -> None:
    with pytest.raises(StudyError, match="expected a function of"):
        resolve_loop("builtins:dict")


def test_a_run_is_known_by_the_source_of_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_digest.py").write_text("def train(): ...\n")
    first = digest_source(("own_digest:train",))
    digest_source.cache_clear()
    assert digest_source(("own_digest:train",)) == first
    (tmp_path / "own_digest.py").write_text("def train(): ...  # changed\n")
    digest_source.cache_clear()
    assert digest_source(("own_digest:train",)) != first
    assert digest_source(()) is None


def test_the_key_names_the_loop() -> None:
    asked = plan()
    looped = replace(asked, training=replace(asked.training, loop=f"{loops.__name__}:shift"))
    keys = {make_run_spec(each, "0", "PReLU", 0).key for each in (asked, looped)}
    assert len(keys) == 2
