"""Sessions on weights that all workers share, made by the one that comes first."""

import logging
from collections.abc import Set
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import onnxruntime as ort

from adaptact.memory import release_free_memory, release_free_pages
from adaptact.providers.catalogue import ProviderChoice, find_provider
from serve.engine.errors import InvalidInputError, quote
from serve.engine.loading import Cancellation
from serve.engine.manifest import read_manifest, read_size_bounds
from serve.engine.model_files import ModelFiles, compute_digest
from serve.engine.opening import (
    SESSION_ERRORS,
    Opened,
    SessionOptions,
    add_files,
    make_native_options,
    read_signature,
)
from serve.engine.operators import ABORTING_ON_EMPTY, check_not_empty, read_operators
from serve.engine.signature import Array
from serve.engine.weights.entry import (
    MODEL,
    WEIGHTS,
    DamagedEntryError,
    Record,
    make_key,
    read_record,
    read_stamp,
    write_record,
)
from serve.engine.weights.folder import WeightsFolder
from serve.engine.weights.options import PROVIDERS, WeightsOptions

GROWTH = 2.2
"""So many times its files' size an entry takes at most: weights as they are, and as kernels want them."""
LEAST_EXTERNAL_BYTES = 1024  # smaller weights stay inside the model
CHECK_SECONDS = 0.02
RUN_SECONDS = 10.0  # of one run that is compared

FAILURES: tuple[type[Exception], ...] = (*SESSION_ERRORS, DamagedEntryError)
RUN_FAILURES: tuple[type[Exception], ...] = (*SESSION_ERRORS, InvalidInputError)
log = logging.getLogger("adaptact")


class SharedWeights:
    """Opens models on the weights of entries, and makes those that are missing or damaged."""

    def __init__(self, options: WeightsOptions) -> None:
        """Raises OSError where the folder cannot be used."""
        self._options = options
        self._folder = WeightsFolder(options.folder, options.limit_bytes)

    def suits(self, files: ModelFiles) -> bool:
        """Whether the weights of such files are shared."""
        size = files.count_bytes()
        is_large = size >= self._options.least_bytes
        return is_large and not files.is_ort_format and GROWTH * size <= self._options.limit_bytes

    def open(
        self, digest: str, files: ModelFiles, options: SessionOptions, cancellation: Cancellation
    ) -> Opened | None:
        """The files with this digest on shared weights; None where they have to be loaded as they are."""
        if options.provider != "cpu":
            return None
        key = make_key(digest, options.threads)
        end = monotonic() + self._options.wait_seconds
        try:
            self._folder.remove_unfinished()
            while monotonic() < end and not cancellation.is_cancelled:
                with self._folder.try_lock(key, alone=False) as may_read:
                    record = self._read(key) if may_read else None
                    if record is not None:
                        return self._open(key, record, options, cancellation)
                with self._folder.try_lock(key, alone=True) as may_make:
                    # Another one may have made it in between.
                    if may_make and self._read(key, damaged=files) is None:
                        return self._make(key, digest, files, options, cancellation)
                sleep(CHECK_SECONDS)
        except OSError as error:
            log.warning(
                "the weights in %s are not shared: %s", quote(str(files.folder)), error.strerror or error
            )
        return None

    def _read(self, key: str, *, damaged: ModelFiles | None = None) -> Record | None:
        """The entry's record; its files are read whole by the first process after the machine's start.

        The log names the files whose entry is `damaged`, if they are given.
        """
        entry = self._folder.entry(key)
        try:
            stamp = read_stamp(entry)
            is_known = stamp == self._folder.read_note(key)
            record = read_record(entry, is_known=is_known)
        except FileNotFoundError:
            return None
        except (OSError, DamagedEntryError) as error:
            if damaged is not None:
                where = quote(str(damaged.folder))
                log.warning("the shared weights of %s are damaged, and made anew: %s", where, error)
            return None
        if not is_known:
            self._folder.write_note(key, stamp)
        return record

    def _open(
        self, key: str, record: Record, options: SessionOptions, cancellation: Cancellation
    ) -> Opened | None:
        if record.unfit:
            return None
        try:
            native = _load(self._folder.entry(key), options, cancellation)
        except SESSION_ERRORS as error:
            log.warning("shared weights cannot be loaded: %s", error)
            return None
        release_free_pages()  # ONNX Runtime has read a weight or two before it mapped them
        return Opened(native, frozenset(record.operators), has_shared_weights=True)

    def _make(
        self,
        key: str,
        digest: str,
        files: ModelFiles,
        options: SessionOptions,
        cancellation: Cancellation,
    ) -> Opened | None:
        """The model on the entry that it makes; None where that fails, and loading it says why, or works."""
        if not self._folder.has_room(int(GROWTH * files.count_bytes())):
            _log_unshared(files, "the disk has no room")
            return None
        try:
            with self._folder.make(key) as new:
                opened = _make_entry(new, digest, files, options, cancellation)
            self._folder.write_note(key, read_stamp(self._folder.entry(key)))
        except FAILURES as error:
            if not cancellation.is_cancelled:
                _log_unshared(files, error)
            return None
        self._folder.trim()
        release_free_memory()
        return opened


def open_shared_weights(options: WeightsOptions | None, provider: ProviderChoice) -> SharedWeights | None:
    """The weights that are shared; None where they are not, or the folder has gone since it was chosen."""
    if options is None or provider not in PROVIDERS:
        return None
    try:
        return SharedWeights(options)
    except OSError as error:
        log.warning("weights are not shared: %s: %s", options.folder, error.strerror or error)
        return None


def _make_entry(
    folder: Path, digest: str, files: ModelFiles, options: SessionOptions, cancellation: Cancellation
) -> Opened:
    """The model on the weights that are written to the folder, or as it was before where that differs."""
    made = _save(folder, files, options, cancellation)
    operators = frozenset(read_operators(made))
    loaded, unfit = made, "none of its weights is large"
    if (folder / WEIGHTS).exists():
        loaded = _load(folder, options, cancellation)
        unfit = _find_difference(made, loaded, operators, cancellation)
    if compute_digest(files) != digest:
        raise DamagedEntryError("the model's file has changed meanwhile")
    if unfit:
        _log_unshared(files, unfit)
    write_record(folder, operators, unfit)
    return Opened(made if unfit else loaded, operators, has_shared_weights=not unfit)


def _save(
    folder: Path, files: ModelFiles, options: SessionOptions, cancellation: Cancellation
) -> ort.InferenceSession:
    """The session of the files, which are written to the folder as this machine runs them."""
    native = make_native_options(options)
    add_files(native, files)
    native.optimized_model_filepath = str(folder / MODEL)
    entries = {
        "session.optimized_model_external_initializers_file_name": WEIGHTS,
        "session.optimized_model_external_initializers_min_size_in_bytes": str(LEAST_EXTERNAL_BYTES),
        "session.save_external_prepacked_constant_initializers": "1",
    }
    for name, value in entries.items():
        native.add_session_config_entry(name, value)
    return _open(files.path, native, cancellation)


def _load(folder: Path, options: SessionOptions, cancellation: Cancellation) -> ort.InferenceSession:
    native = make_native_options(options)
    # It is optimised already; a second time could give another graph than the file's own.
    native.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return _open(str(folder / MODEL), native, cancellation)


def _open(path: str, native: ort.SessionOptions, cancellation: Cancellation) -> ort.InferenceSession:
    cancellation.on_cancel(partial(native.set_load_cancellation_flag, True))
    return find_provider("cpu").open(path, native)


def _find_difference(
    made: ort.InferenceSession,
    loaded: ort.InferenceSession,
    operators: Set[str],
    cancellation: Cancellation,
) -> str:
    """In what the two differ; empty where they do not, or where no run shows it."""
    signature = read_signature(made)
    if signature != read_signature(loaded):
        return "its inputs or outputs would be described in another way"
    bounds = read_size_bounds(read_manifest(made.get_modelmeta().custom_metadata_map))
    random = np.random.default_rng(0)
    inputs = {name: _fill(array, random) for name, array in signature.bound(bounds).zeros().items()}
    try:
        if not operators.isdisjoint(ABORTING_ON_EMPTY):
            check_not_empty(inputs)
        with cancellation.limit_runs(RUN_SECONDS) as run_options:
            expected = made.run(None, inputs, run_options)
            values = loaded.run(None, inputs, run_options)
    except RUN_FAILURES:  # not every model takes such values
        return ""
    pairs = zip(expected, values, strict=True)
    return "" if all(_are_equal(*pair) for pair in pairs) else "its outputs would differ"


def _fill(zeros: Array, random: np.random.Generator) -> Array:
    """Random numbers, where any number is a valid one."""
    return random.standard_normal(zeros.shape).astype(zeros.dtype) if zeros.dtype.kind == "f" else zeros


def _are_equal(first: Array, second: Array) -> bool:
    """Bit for bit; NaN too."""
    if first.dtype != second.dtype or first.shape != second.shape:
        return False
    return bool((first == second).all()) if first.dtype == object else first.tobytes() == second.tobytes()


def _log_unshared(files: ModelFiles, reason: object) -> None:
    log.warning("the weights in %s are not shared: %s", quote(str(files.folder)), str(reason).strip())
