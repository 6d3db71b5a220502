import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import adaptact

ALL = [f"adaptact.{module.name}" for module in pkgutil.iter_modules(adaptact.__path__)]
FOR_PEOPLE = {
    f"adaptact.{room}" for room in ("console", "options", "progress", "usage", "completion", "tables")
}
HEAVY = ("torch", "onnx", "onnxruntime", "numpy", "fastapi", "pydantic", "adaptive_act", "convert", "serve")
DRAWING = ("rich", "typer")


def loaded_after(modules: list[str], names: tuple[str, ...], folder: Path) -> list[str]:
    code = f"import sys, {', '.join(modules)}; print(*(name for name in {names} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder
    )
    return done.stdout.split()


def test_no_package_is_loaded_until_it_is_needed(tmp_path: Path) -> None:
    assert loaded_after(ALL, HEAVY, tmp_path) == []


@pytest.mark.parametrize("module", sorted(set(ALL) - FOR_PEOPLE))
def test_the_standard_library_is_enough(module: str, tmp_path: Path) -> None:
    assert loaded_after([module], DRAWING, tmp_path) == []
