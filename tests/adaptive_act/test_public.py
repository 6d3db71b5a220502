import importlib
import subprocess
import sys

import pytest

import adaptive_act
from adaptive_act import public


def test_the_package_has_every_public_name() -> None:
    assert list(vars(adaptive_act)["__all__"]) == public.__all__
    assert {
        name for name in public.__all__ if getattr(adaptive_act, name) is not getattr(public, name)
    } == set()
    assert set(public.__all__) <= set(dir(adaptive_act))


def test_the_packages_modules_are_there_without_an_import_of_them() -> None:
    assert adaptive_act.training is importlib.import_module("adaptive_act.training")


@pytest.mark.parametrize("name", ["NoSuch", "__wrapped__", "a.b", ""])
def test_another_name_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"'adaptive_act' has no attribute '{name}'"):
        getattr(adaptive_act, name)


@pytest.mark.slow
def test_the_first_name_loads_torch_and_the_package_does_not() -> None:
    code = (
        "import sys, adaptive_act; before = 'torch' in sys.modules\n"
        "from adaptive_act import PReLU; from adaptive_act import *\n"
        "print(before, 'torch' in sys.modules, swap.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "adaptive_act.swapping.replace"]
