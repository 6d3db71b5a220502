"""How ONNX Runtime opens a model's files: with which options, and what it says of them."""

from collections.abc import Callable, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as native

from adaptact.providers.catalogue import ProviderName, find_provider
from adaptact.providers.provider import Precision
from adaptact.providers.runtime_errors import ORT_ERRORS
from convert.manifest.encoding import encode_outputs
from serve.engine.datatypes import BY_ONNX_TYPE
from serve.engine.errors import ModelRefusedError, quote
from serve.engine.loading import Cancellation
from serve.engine.manifest import read_manifest
from serve.engine.model_files import ModelFiles
from serve.engine.operators import read_operators
from serve.engine.providers import SILENT, CudaOptions, explain_missing
from serve.engine.signature import Signature, TensorSpec

FORMAT = "session.load_model_format"
WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"

DICTIONARIES = "seq(map("  # the type of what ZipMap makes of probabilities

SESSION_ERRORS: tuple[type[Exception], ...] = (*ORT_ERRORS, RuntimeError, MemoryError, UnicodeDecodeError)
"""What opening and running a model raise, with what Python's side of ONNX Runtime adds."""
INPUT_ERROR: type[Exception] = native.InvalidArgument


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """The threads of one run, and the provider that computes it."""

    threads: int
    provider: ProviderName = "cpu"
    cuda: CudaOptions = field(default_factory=CudaOptions)


@dataclass(frozen=True, slots=True)
class Opened:
    """A session of ONNX Runtime, and the operators of its graph before that was optimised for the machine."""

    native: ort.InferenceSession
    operators: Set[str]
    has_shared_weights: bool = False


Opener: TypeAlias = Callable[[ModelFiles, SessionOptions, Cancellation], Opened | None]
"""Opens files in another way than as they are, where it can."""


def make_native_options(options: SessionOptions) -> ort.SessionOptions:
    """ONNX Runtime's options, without files."""
    result = ort.SessionOptions()
    result.log_severity_level = SILENT
    result.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    result.intra_op_num_threads = options.threads
    result.inter_op_num_threads = 1
    # Memory patterns are cached for every input shape ever seen, and clients choose the batch size.
    result.enable_mem_pattern = False
    # Spinning threads of idle models would take the cores from the busy ones. The one pool that sessions may
    # share instead of having their own has no such option in Python (ONNX Runtime 1.32).
    result.add_session_config_entry("session.intra_op.allow_spinning", "0")
    result.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return result


def add_files(native_options: ort.SessionOptions, files: ModelFiles) -> None:
    """Say what the path of the files does not: their format, and where external weights are."""
    if files.is_ort_format:
        native_options.add_session_config_entry(FORMAT, "ORT")
    native_options.add_session_config_entry(WEIGHTS_FOLDER, str(files.folder))
    if files.sidecars:
        names, contents = list(files.sidecars), list(files.sidecars.values())
        native_options.add_external_initializers_from_files_in_memory(
            names, contents, list(map(len, contents))
        )


def read_signature(session: ort.InferenceSession) -> Signature:
    """Its inputs and outputs; raises `ModelRefusedError` for a type that cannot be served."""
    return Signature(
        inputs=tuple(_read_spec("input", value) for value in session.get_inputs()),
        outputs=tuple(_read_spec("output", value) for value in session.get_outputs()),
    )


def open_files(
    files: ModelFiles, options: SessionOptions, cancellation: Cancellation, more_outputs: Sequence[str]
) -> Opened:
    """The files as they are, with these tensors as outputs too; raises one of `ORT_ERRORS`."""
    native_options = make_native_options(options)
    add_files(native_options, files)
    cancellation.on_cancel(partial(native_options.set_load_cancellation_flag, True))
    with _choose_path(files, more_outputs) as path, explain_missing():
        session = _open(path, native_options, options)
        if _is_in_bfloat16(session, options):
            native_options = make_native_options(options)
            add_files(native_options, files)
            session = _open(path, native_options, options, "bf16")
    return Opened(session, read_operators(session))


def _choose_path(files: ModelFiles, more_outputs: Sequence[str]) -> AbstractContextManager[str]:
    if more_outputs:
        return files.extend(encode_outputs(list(more_outputs)))
    return nullcontext(files.path)


def _is_in_bfloat16(session: ort.InferenceSession, options: SessionOptions) -> bool:
    """Whether the file's gate allows bfloat16, and the provider has instructions for it here."""
    if not find_provider(options.provider).computes("bf16"):
        return False
    manifest = read_manifest(session.get_modelmeta().custom_metadata_map)
    return manifest is not None and manifest.get("precision") == "bf16"


def _open(
    path: str,
    native_options: ort.SessionOptions,
    options: SessionOptions,
    precision: Precision = "fp32",
) -> ort.InferenceSession:
    provider = find_provider(options.provider)
    more = options.cuda.native() if options.provider == "cuda" else {}
    device = options.cuda.device if provider.on_gpu else 0
    return provider.open(path, native_options, precision=precision, more=more, device=device)


def _read_spec(kind: str, value: ort.NodeArg) -> TensorSpec:
    datatype = BY_ONNX_TYPE.get(value.type)
    if datatype is None:
        remedy = "; `adaptact export` makes a tensor of it" if value.type.startswith(DICTIONARIES) else ""
        raise ModelRefusedError(
            f"{kind} {quote(value.name)} has type {quote(value.type)}, which cannot be served{remedy}"
        )
    return TensorSpec(value.name, datatype, tuple(value.shape))
