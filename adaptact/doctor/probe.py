"""A program that loads packages, or a provider of ONNX Runtime, and says how it went.

`python probe.py MODULE...` prints a line of JSON for each module. `python probe.py --provider NAME` runs a
model on the provider; `LIBRARY KIND` after it are a plug-in's, and CPU or GPU. It is a process of its own,
since a broken package may end it. Standard library only.
"""

import json
import sys
from importlib import import_module
from typing import Any

PROVIDER = "--provider"
# y = Relu(x), as ONNX writes it: what onnx itself makes of it is compared in a test.
MODEL = bytes.fromhex(
    "08083a350a0e0a0178120179220452656c753a001201675a0f0a0178120a0a"
    "08080112040a020801620f0a0179120a0a08080112040a02080142040a001011"
)


def load(module: str) -> dict[str, Any]:
    """What is known of the module once it is loaded, or the `error` that its import ended with."""
    result: dict[str, Any] = {"module": module, "error": None}
    try:
        loaded = import_module(module)
        if module == "torch":
            result["cuda_build"] = loaded.version.cuda
            result["cuda"] = loaded.cuda.is_available()
        if module == "onnxruntime":
            result["providers"] = loaded.get_available_providers()
    except BaseException as error:  # noqa: BLE001  # whatever a package does as it is loaded
        result["error"] = f"{type(error).__name__}: {error}"
    return result


def run_model(provider: str, library: str = "", kind: str = "") -> dict[str, Any]:
    """Whether the provider computes; ONNX Runtime takes the CPU silently where one cannot."""
    result: dict[str, Any] = {"provider": provider, "error": None}
    try:
        import onnxruntime as ort  # noqa: PLC0415

        ort.set_default_logger_severity(4)
        session = open_plug_in(provider, library, kind) if library else open_built_in(provider)
        used = session.get_providers()[0]
        (output,) = session.run(None, {"x": [-1.0]})
        if used != provider:
            result["error"] = "its libraries cannot be loaded, or it finds no device"
        elif float(output[0]) != 0.0:
            result["error"] = f"it computes {float(output[0])} where 0.0 is right"
    except LookupError as error:
        result["error"] = str(error)
    except BaseException as error:  # noqa: BLE001  # whatever a provider does
        result["error"] = f"{type(error).__name__}: {error}"
    return result


def open_built_in(provider: str) -> Any:
    """A session on a provider that ONNX Runtime is built with."""
    import onnxruntime as ort  # noqa: PLC0415

    return ort.InferenceSession(MODEL, providers=[provider])


def open_plug_in(provider: str, library: str, kind: str) -> Any:
    """A session on the first device of this kind that the library finds."""
    import onnxruntime as ort  # noqa: PLC0415

    options = ort.SessionOptions()
    ort.register_execution_provider_library(provider, library)
    found = [each for each in ort.get_ep_devices() if each.ep_name == provider]
    devices = [each for each in found if each.device.type.name == kind]
    if not devices:
        raise LookupError(f"it finds no {kind} here that it runs on")
    options.add_provider_for_devices(devices[:1], {})
    return ort.InferenceSession(MODEL, options)


def main(words: list[str]) -> None:
    """A line of JSON for each module, or for the provider."""
    results = [run_model(*words[1:])] if words[:1] == [PROVIDER] else map(load, words)
    for result in results:
        sys.stdout.write(f"{json.dumps(result)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
