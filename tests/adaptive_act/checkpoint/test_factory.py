"""A file may name only code that offers itself as a factory, and nothing is imported to find out."""

import sys
from pathlib import Path

import pytest
from torch import nn

from adaptive_act import FactoryError, model_factory
from adaptive_act.checkpoint.factory import factory_name, resolve_factory
from tests.adaptive_act import models

HERE = "tests.adaptive_act.models"


@pytest.mark.parametrize("name", [f"{HERE}:build_modules", f"{HERE}:Modules"])
@pytest.mark.parametrize("trusted", [True, False])
def test_a_marked_function_or_a_module_class_is_found(name: str, trusted: bool) -> None:
    assert isinstance(resolve_factory(name, trusted=trusted)(), nn.Module)


@pytest.mark.parametrize(
    "name",
    ["os:system", "subprocess:Popen", "builtins:exec", f"{HERE}:unmarked", f"{HERE}:nn", "shutil:rmtree"],
)
def test_a_file_cannot_name_other_code(name: str) -> None:
    with pytest.raises(FactoryError, match=r"not run; name one that you know and trust"):
        resolve_factory(name, trusted=False)


@pytest.mark.parametrize(
    "definition", ["def build(): ...", "class build: ...", "def build(:", "build = print"]
)
def test_a_module_is_not_even_imported_for_a_file(
    definition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "__init__.py").write_text("raise SystemExit('the package was imported')")
    (tmp_path / "trap" / "door.py").write_text(f"raise SystemExit('imported')\n{definition}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(FactoryError, match="not run"):
        resolve_factory("trap.door:build", trusted=False)
    assert not {"trap", "trap.door"} & set(sys.modules)


def test_the_user_may_name_any_callable() -> None:
    assert resolve_factory(f"{HERE}:unmarked", trusted=True) is models.unmarked


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torch", "expected a factory as"),
        ("torch:", "expected a factory as"),
        ("torch nn:x", "expected a factory as"),
        ("no_such_package:fn", "cannot be imported"),
        (f"{HERE}:no_such_name", "cannot be imported"),
        (f"{HERE}:__doc__", "is not callable, it is a `str`"),
    ],
)
def test_a_wrong_name_is_explained(name: str, message: str) -> None:
    with pytest.raises(FactoryError, match=message):
        resolve_factory(name, trusted=True)


def test_a_callable_is_named_as_others_find_it() -> None:
    assert factory_name(models.build_modules) == f"{HERE}:build_modules"


def test_a_local_function_has_no_name_for_others() -> None:
    @model_factory
    def local() -> nn.Module:
        return nn.Identity()

    with pytest.raises(FactoryError, match="cannot be found by another process"):
        factory_name(local)
