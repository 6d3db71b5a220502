"""bfloat16 by the provider: the file stays in float32, and the gate judges what the provider computes of it.

A provider that has the instructions then multiplies with 8 bits of mantissa and adds in float32. By any other
provider, and where the processor lacks them, the same file is computed in float32.
"""

import onnx_ir as ir

from adaptact.providers.catalogue import PROVIDERS
from adaptact.providers.provider import Precision as ComputedPrecision
from convert.artefact.file import serialise
from convert.errors import UsageError
from convert.model_io.runtime import Session
from convert.precision.budgets import Precision
from convert.precision.gate import Gate
from convert.precision.keep import Candidate

COMPUTED: tuple[Precision, ...] = ("bf16",)
"""The precisions that a provider computes in, of a file in float32."""


def computed_in(precision: Precision, provider: str) -> ComputedPrecision:
    """What the provider computes a file of this precision in, on this machine."""
    if precision not in COMPUTED or provider not in PROVIDERS:
        return "fp32"
    return "bf16" if PROVIDERS[provider].computes("bf16") else "fp32"


def require_computed(precision: Precision, provider: str) -> None:
    """UsageError where the provider cannot compute in this precision on this machine."""
    if precision in COMPUTED and computed_in(precision, provider) == "fp32":
        raise UsageError(
            f"provider `{provider}` does not compute in {precision} on this machine",
            hint="take --provider openvino, on a processor with AVX512-BF16 or AMX; or --precision fp32",
        )


def measure_computed(model: ir.Model, gate: Gate) -> Candidate:
    """The graph as it is, with its losses where the provider computes in bfloat16."""
    names = [value.name or "" for value in model.graph.inputs]
    session = Session(serialise(model), names, gate.provider, precision="bf16")
    return Candidate(model, gate.measure(session), ())
