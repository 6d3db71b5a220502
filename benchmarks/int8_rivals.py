"""The same float32 files rounded by NNCF, and all files timed: run by another interpreter, which has NNCF.

`python int8_rivals.py FOLDER` reads `NAME.float32.PROVIDER.onnx` and `NAME.ours.PROVIDER.onnx` for the
providers `cpu` and `openvino`, `NAME.ours asymmetric.openvino.onnx` if there is one, and `NAME.npz`
(calibration, test and reference) of each network, and prints JSON. It needs nncf, onnx, onnxruntime and
openvino, and nothing of adaptact's.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = 21
TURN_SECONDS = 0.1
_NNCF = {"nncf": "MIXED", "nncf symmetric": "PERFORMANCE"}
"""The files of NNCF, and the presets that they are made by."""
_METHODS = ("float32", "ours", "ours asymmetric", *_NNCF)
_OPENVINO = {"NUM_STREAMS": 0, "INFERENCE_PRECISION_HINT": "f32"}

Run = Callable[[Any], Any]


def main() -> None:
    """Round by NNCF, time, and print the results by network and by file and runtime."""
    folder = Path(sys.argv[1])
    names = sorted(path.stem for path in folder.glob("*.npz"))
    results = {}
    for name in names:
        data = np.load(folder / f"{name}.npz")
        _quantise(folder, name, data["calibration"])
        results[name] = _compare(folder, name, data)
        print(name, file=sys.stderr, flush=True)
    print(json.dumps(results))


def _quantise(folder: Path, name: str, calibration: Any) -> None:
    """Write NNCF's files: as people would, one sample at a time, its transformer mode for transformers.

    By both of its presets, since symmetric activations are faster on a processor with AMX, and others more
    exact; for OpenVINO as OpenVINO's own file, which is faster there than ONNX.
    """
    import nncf  # type: ignore[import-not-found]  # noqa: PLC0415  # only the peer has it
    import onnx  # noqa: PLC0415
    import openvino  # type: ignore[import-not-found]  # noqa: PLC0415

    kind = nncf.ModelType.TRANSFORMER if "ViT" in name else None
    rows = [calibration[place : place + 1] for place in range(min(len(calibration), 300))]
    for method, preset in _NNCF.items():
        options = {"preset": nncf.QuantizationPreset[preset], "model_type": kind, "subset_size": 300}
        graph = onnx.load(folder / f"{name}.float32.cpu.onnx")
        rounded = nncf.quantize(graph, nncf.Dataset([{"x": row} for row in rows]), **options)
        onnx.save(rounded, folder / f"{name}.{method}.cpu.onnx")
        model = openvino.Core().read_model(folder / f"{name}.float32.openvino.onnx")
        rounded = nncf.quantize(model, nncf.Dataset(rows), **options)
        openvino.save_model(rounded, folder / f"{name}.{method}.openvino.xml", compress_to_fp16=False)


def _compare(folder: Path, name: str, data: Any) -> dict[str, dict[str, float]]:
    """Of each file by each runtime: the time over float32's by ONNX Runtime, and errors over the scale."""
    test, reference = data["test"], data["reference"]
    runs: dict[str, Run] = {}
    for method in _METHODS:
        suffix = "xml" if method in _NNCF else "onnx"
        for_cpu = folder / f"{name}.{method}.cpu.onnx"
        if for_cpu.exists():
            runs[f"{method}, ONNX Runtime"] = _load_in_onnx_runtime(for_cpu)
        for_openvino = folder / f"{name}.{method}.openvino.{suffix}"
        if for_openvino.exists():
            runs[f"{method}, OpenVINO"] = _load_in_openvino(for_openvino)
    ratios = _time(runs, test[:1])
    scale = np.abs(reference).max()
    results = {}
    for key, run in runs.items():
        errors = (np.concatenate([run(sample[None]).copy() for sample in test]) - reference) / scale
        results[key] = {
            "time": ratios[key],
            "typical": float(np.sqrt((errors**2).mean())),
            "largest": float(np.abs(errors).max()),
        }
    return results


def _load_in_onnx_runtime(path: Path) -> Run:
    import onnxruntime as ort  # noqa: PLC0415

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def _load_in_openvino(path: Path) -> Run:
    import openvino  # noqa: PLC0415  # only the peer has it

    compiled = openvino.Core().compile_model(str(path), "CPU", _OPENVINO)
    request, output = compiled.create_infer_request(), compiled.output(0)
    return lambda x: request.infer({0: x})[output]


def _time(runs: dict[str, Run], x: Any) -> dict[str, float]:
    """The medians of the ratios to the first run's time, in turns, by the time of the processor."""
    turns: dict[str, list[float]] = {key: [] for key in runs}
    for run in runs.values():
        run(x)
    for number in range(ROUNDS):
        for key in list(runs)[:: 1 if number % 2 else -1]:
            count, start = 0, time.process_time()
            while time.process_time() - start < TURN_SECONDS:
                runs[key](x)
                count += 1
            turns[key].append((time.process_time() - start) / count)
    first = next(iter(turns.values()))
    return {
        key: statistics.median(mine / other for mine, other in zip(times, first, strict=True))
        for key, times in turns.items()
    }


if __name__ == "__main__":
    main()
