import subprocess
import sys

import pytest

KNOWN = "print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def _loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; {KNOWN}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(ran.stdout.split())


def test_the_application_needs_neither_the_trainer_nor_the_command_line() -> None:
    assert not _loaded_by("serve.rest.app") & {
        "torch",
        "onnx",
        "onnxscript",
        "typer",
        "rich",
        "adaptive_act",
        "convert",
    }


@pytest.mark.parametrize("module", ["serve.engine", "serve.protocol.messages", "serve.protocol.predict"])
def test_below_the_doors_there_is_no_web_framework(module: str) -> None:
    assert not _loaded_by(module) & {"fastapi", "starlette", "uvicorn", "pydantic", "torch", "onnx"}
