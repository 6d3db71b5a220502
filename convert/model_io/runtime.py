"""Runs graphs with ONNX Runtime, as the server does."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as native

from adaptact.errors import ProviderError
from adaptact.providers.catalogue import find_provider
from adaptact.providers.provider import Precision, count_operators
from adaptact.providers.runtime_errors import ORT_ERRORS
from adaptact.text import first_line
from convert.errors import ExportError, UsageError
from convert.model_io.array import Array

_ERRORS_ONLY = 3
_LONGEST_REASON = 500  # characters
_TEXT_BYTES = 6
_EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"
_NOT_IMPLEMENTED = native.NotImplemented
_NO_KERNEL = "it may have the operator for float32 only: convert the model in that, with `model.float()`"


class Session:
    """One graph, from bytes or a file, loaded on a provider with all of ONNX Runtime's optimisations.

    `names` are the inputs. External data of a graph in bytes lie in `folder`. `threads` share an operator's
    work; for 0 ONNX Runtime chooses how many. The provider computes in `precision`. Raises ExportError where
    ONNX Runtime refuses the graph, UsageError where it cannot use the provider.
    """

    def __init__(
        self,
        graph: bytes | Path,
        names: Sequence[str],
        provider: str = "cpu",
        *,
        folder: Path | None = None,
        threads: int = 0,
        precision: Precision = "fp32",
    ) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        # Its threads would keep spinning while torch's threads need the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if folder is not None:
            options.add_session_config_entry(_EXTERNAL_FOLDER, str(folder.resolve()))
        self._names, self._provider = tuple(names), provider
        try:
            content = str(graph) if isinstance(graph, Path) else graph
            self._session = find_provider(provider).open(content, options, precision=precision)
        except ProviderError as error:
            raise UsageError(str(error), error.hint) from error
        except ORT_ERRORS as error:
            raise ExportError(
                f"ONNX Runtime refuses the graph: {first_line(error, _LONGEST_REASON)}",
                hint=_NO_KERNEL if isinstance(error, _NOT_IMPLEMENTED) else None,
            ) from error
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def count_operators(self) -> tuple[dict[str, int], dict[str, int]]:
        """How many of each kind the provider computes, and how many others do."""
        own = find_provider(self._provider).native
        counts = count_operators(self._session)
        mine = counts.pop(own, {})
        return mine, dict(sum(map(Counter, counts.values()), Counter[str]()))

    def run(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """The outputs by name, for arrays in the order of the input names; texts are whole numbers."""
        return {name: number_texts(value) for name, value in self.run_as_is(arrays).items()}

    def run_as_is(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """The same, with texts as they are."""
        try:
            values = self._session.run(None, dict(zip(self._names, arrays, strict=True)))
        except ORT_ERRORS as error:
            shapes = [list(array.shape) for array in arrays]
            raise ExportError(
                f"ONNX Runtime cannot run the graph on {shapes}: {first_line(error, _LONGEST_REASON)}"
            ) from error
        return dict(zip(self.outputs, values, strict=True))


def number_texts(value: Array) -> Array:
    """Texts as whole numbers that float64 holds, the same for the same text; other arrays as they are."""
    if value.dtype.kind != "O":
        return value
    numbers = [_hash_text(str(text)) for text in value.reshape(-1)]
    return np.asarray(numbers, np.int64).reshape(value.shape)


def _hash_text(text: str) -> int:
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=_TEXT_BYTES).digest()
    return int.from_bytes(digest, "big")


def require_provider(provider: str) -> None:
    """UsageError where the provider cannot be used on this machine."""
    try:
        find_provider(provider).require()
    except ProviderError as error:
        raise UsageError(str(error), error.hint) from error
