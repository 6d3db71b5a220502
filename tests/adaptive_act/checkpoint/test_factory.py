"""A file may name only code that offers itself as a factory, and nothing is imported to find out."""

import sys
from pathlib import Path

import pytest
from torch import nn

from adaptive_act import FactoryError, model_factory
from adaptive_act.checkpoint.factory import build_model, factory_name, resolve_factory
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
    with pytest.raises(FactoryError, match="name one that you know and trust"):
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


MARKED = """
import adaptive_act
from torch import nn

@adaptive_act.model_factory
def build():
    return nn.ReLU()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is not on the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    return tmp_path


@pytest.mark.parametrize("trusted", [True, False])
def test_a_factory_is_found_in_the_current_folder(trusted: bool, folder: Path) -> None:
    (folder / f"own_{trusted}.py").write_text(MARKED)
    before = list(sys.path)
    assert isinstance(resolve_factory(f"own_{trusted}:build", trusted=trusted)(), nn.ReLU)
    assert sys.path == before


def test_a_factory_may_import_from_the_current_folder_as_it_builds(folder: Path) -> None:
    (folder / "own_layers.py").write_text("from torch import nn\n")
    (folder / "own_net.py").write_text(
        "def build():\n    import own_layers\n    return own_layers.nn.ELU()\n"
    )
    assert isinstance(build_model(resolve_factory("own_net:build", trusted=True), {}), nn.ELU)


def test_a_file_in_the_current_folder_takes_no_installed_modules_place(folder: Path) -> None:
    for name in ("sched", "adaptive_act", "cmath"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported')")
    (folder / "own_scheduled.py").write_text(f"import sched, cmath\n{MARKED}")
    sys.modules.pop("sched", None)
    assert isinstance(resolve_factory("own_scheduled:build", trusted=False)(), nn.ReLU)
    message = r"`adaptive_act.py` in the current folder is not it.*rename it"
    for trusted in (True, False):
        with pytest.raises(FactoryError, match=message):
            resolve_factory("adaptive_act:build", trusted=trusted)


def test_a_factory_that_is_nowhere_is_not_said_to_be_unmarked(folder: Path) -> None:
    with pytest.raises(FactoryError, match="no source of a module `own_missing` is found, neither among"):
        resolve_factory("own_missing:build", trusted=False)


def test_the_current_folder_may_be_gone(folder: Path) -> None:
    folder.rmdir()
    assert resolve_factory(f"{HERE}:unmarked", trusted=True) is models.unmarked


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
        ("tests.convert.models:clasifier", r"no attribute 'clasifier'; did you mean `classifier`\?"),
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
