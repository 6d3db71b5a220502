"""Files written for a GPU: parity in full float32, what TF32 changes, and lower precisions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convert.errors import ConversionError
from convert.manifest.manifest import Manifest
from convert.pipeline import convert
from convert.precision.budgets import BudgetOptions, Precision
from serve.engine.providers import CudaOptions
from tests.gpu.bench import (
    SUBJECTS,
    Bench,
    NotHereError,
    compare_times,
    make_samples,
    measure_error,
    open_session,
    require,
    run,
)

ANYTHING = BudgetOptions(max_error=1.0, min_agreement=0.0)
LARGEST_FULL, LARGEST_TF32 = 1e-4, 2e-2
"""The largest error of float32 and of TF32, whose mantissa has 10 bits, as a share of the outputs' scale."""
PRECISIONS: Sequence[tuple[str, str, Precision, bool, float]] = (
    ("images", "fp16", "fp16", False, 0.02),
    ("images", "int8, static", "int8", True, 0.2),
    ("rows", "fp16", "fp16", False, 0.02),
    ("rows", "int8, dynamic", "int8", False, 0.2),
    ("rows", "weights-int8", "weights-int8", False, 0.1),
    ("rows", "weights-int4", "weights-int4", False, 0.5),
)
"""Of a subject: the precision, whether it is calibrated, and the largest error of random weights."""


def check_parity(bench: Bench) -> str:
    """Both models pass parity on the provider, in full float32."""
    found = []
    for subject in SUBJECTS:
        bench.files[subject] = bench.place(subject)
        manifest = _convert(bench, subject, bench.files[subject])
        (output,) = manifest.parity.outputs
        found.append(f"{subject}: error {output.file_error:.2g}, allowed {output.allowed:.2g}")
    return "; ".join(found)


def check_tf32(bench: Bench) -> str:
    """TF32 is off unless it is asked for, and then it is near."""
    if not bench.is_cuda:
        raise NotHereError("TF32 is an option of CUDA's own provider")
    found = []
    for subject, path in bench.files.items():
        x = make_samples(subject, 64)
        expected = run(open_session(path, "cpu"), x)
        full, short = (
            measure_error(run(open_session(path, bench.provider, CudaOptions(tf32=tf32)), x), expected)
            for tf32 in (False, True)
        )
        require(full < LARGEST_FULL, f"{subject}: error {full:.2g} in float32, expected below {LARGEST_FULL}")
        require(short < LARGEST_TF32, f"{subject}: error {short:.2g} in TF32, expected below {LARGEST_TF32}")
        found.append(f"{subject}: error {full:.2g} of the scale, in TF32 {short:.2g}")
    return "; ".join(found)


def check_precisions(bench: Bench) -> str:
    """Files of lower precisions compute on the provider what the model does, or are refused with a reason."""
    found = []
    for number, (subject, name, precision, calibrated, largest) in enumerate(PRECISIONS):
        x = make_samples(subject, 32, seed=1)
        file = bench.place(str(number), "lower")
        try:
            _convert(bench, subject, file, precision, calibrated)
        except ConversionError as error:
            require(precision != "fp16", f"{subject}, {name}: {error}")
            found.append(f"{subject}, {name}: refused ({error})")
            continue
        exact, session = (open_session(path, bench.provider) for path in (bench.files[subject], file))
        error_share = measure_error(run(session, x), run(exact, x))
        require(error_share < largest, f"{subject}, {name}: error {error_share:.2g}, expected < {largest}")
        ratio = compare_times([exact, session], x)[1]
        found.append(f"{subject}, {name}: error {error_share:.2g}, time {ratio:.2f} of float32's")
    return "; ".join(found)


def _convert(
    bench: Bench, subject: str, file: Path, precision: Precision = "fp32", calibrated: bool = False
) -> Manifest:
    calibration = None
    if calibrated:
        calibration = bench.folder / f"{subject}.npz"
        np.savez(calibration, x=make_samples(subject, 64, seed=2))
    return convert(
        bench.write_source(subject),
        file,
        factory=f"tests.gpu.bench:{SUBJECTS[subject][0].__name__}",
        inputs=[SUBJECTS[subject][1]],
        provider=bench.provider,
        precision=precision,
        calibration=calibration,
        budgets=None if precision == "fp32" else ANYTHING,
    )
