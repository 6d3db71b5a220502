"""A model's file, loaded into this process as a server loads it."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from serve.client.batch.offline.batches import Batch, RepeatedBatch
from serve.client.batch.run import check_rows
from serve.client.batch.texts import cuts_texts
from serve.client.errors import InvalidFileError
from serve.engine.config import ModelConfig
from serve.engine.datatypes import BY_NAME
from serve.engine.errors import StartupError
from serve.engine.metrics import Metrics
from serve.engine.model_loader import ModelLoader
from serve.engine.options import EngineOptions
from serve.engine.repository import MODEL_FILE, SUFFIX, VERSION, ModelFile, read_fingerprint
from serve.engine.signature import Array
from serve.protocol.metadata import write_metadata
from serve.protocol.predict import choose_labels

LABEL, FILE, TRUNCATED = "label", "file", "truncated"
ASSUMED_SIZE = 64  # of an output's dimension that is not known
RUN_SECONDS = 86_400.0
LOAD_SECONDS = 3600.0
MODEL_BYTES = 2**40


class LocalModel:
    """A model on one core, which several threads may ask at once."""

    def __init__(self, path: Path) -> None:
        """Load the file; raises `InvalidFileError` where a server would not serve it."""
        entry = find_entry(path)
        folder = entry.path.parent if entry.bare else entry.path.parents[2]
        options = EngineOptions(folder, model_limit_bytes=MODEL_BYTES, load_seconds=LOAD_SECONDS)
        # No requests are joined here: each batch is a run, as it is on a server that is asked for batches.
        config = ModelConfig(batching="off", run_seconds=RUN_SECONDS)
        self._loader = ModelLoader(options, Metrics(CollectorRegistry()))
        try:
            self._model = self._loader.load(entry, config)
        except StartupError as error:
            detail = getattr(error, "detail", "")
            reason = f"{error}: {detail}" if detail else str(error)
            raise InvalidFileError(f"`{path}` cannot be loaded: {reason}") from error
        self.metadata = write_metadata(
            entry.name, [entry.version], self._model.signature, description=self._model.description
        )

    @property
    def answer_bytes(self) -> int:
        """About how large the answer to a row is."""
        return sum(
            BY_NAME[spec.datatype].dtype.itemsize
            * prod(size if size != -1 else ASSUMED_SIZE for size in spec.shape[1:])
            for spec in self.metadata.outputs
        )

    def check_outputs(self, names: Sequence[str]) -> None:
        """Raises `InvalidInputError` for outputs that it does not have."""
        self._model.signature.choose_outputs(names)

    def answer(self, batch: Batch, only: Sequence[str]) -> dict[str, Array]:
        """The outputs of these names, or all, for the rows of the batch.

        Before them stand the rows' files and the names of the likeliest classes, and behind them which texts
        were cut, where there are such. Raises `InvalidFileError` or an `EngineError` for rows that have none.
        """
        inputs, rows = batch.read(self._model), len(batch)
        outputs = self._run(inputs.arrays, () if inputs.is_labelled else only)
        check_rows(outputs, rows)
        answers: dict[str, Array] = {}
        if batch.files:
            answers[FILE] = np.array(batch.files, np.object_)
        labels = choose_labels(list(outputs.values()), self._model.classes) if inputs.is_labelled else []
        if labels:
            answers[LABEL] = np.array(labels, np.object_)
        answers |= {name: array for name, array in outputs.items() if not only or name in only}
        if inputs.is_labelled and cuts_texts(self.metadata):
            answers[TRUNCATED] = np.isin(np.arange(rows), inputs.truncated)
        return answers

    def answer_one(self, batch: Batch, only: Sequence[str], fixed: int | None) -> dict[str, Array]:
        """The answer to the batch's one row; a model that takes only so many rows is given it as often."""
        if fixed in (None, 1):
            return self.answer(batch, only)
        return {name: array[:1] for name, array in self.answer(RepeatedBatch(batch, fixed), only).items()}

    def _run(self, arrays: Mapping[str, Array], only: Sequence[str]) -> dict[str, Array]:
        chosen = self._model.signature.choose_outputs(only)
        self._model.signature.check_inputs(arrays)
        return dict(zip(chosen, self._model.run(arrays, chosen), strict=True))


@dataclass(frozen=True, slots=True)
class PackedModel:
    """The files of a model, to be sent to where they do not lie; their digest tells models apart."""

    path: str
    files: Mapping[str, NDArray[np.uint8]]
    digest: str

    @contextmanager
    def unpack(self) -> Iterator[Path]:
        """Where the model's file lies, within the block."""
        with tempfile.TemporaryDirectory(prefix="adaptact-model-") as folder:
            for name, content in self.files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.data)
            yield Path(folder, self.path)


def pack_model(path: Path) -> PackedModel:
    """The model's file and what lies beside it; raises `InvalidFileError`."""
    entry = find_entry(path)
    root = entry.path.parent if entry.bare else entry.path.parents[2]
    try:
        files = {
            str(file.relative_to(root)): np.fromfile(file, np.uint8)
            for file in (Path(stamp[0]) for stamp in read_fingerprint(entry))
            if file.is_file()
        }
    except OSError as error:
        raise InvalidFileError(f"`{path}` cannot be read: {error.strerror}") from error
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{content.size}\0".encode("utf-8", "surrogateescape"))
        digest.update(content.data)
    return PackedModel(str(entry.path.relative_to(root)), files, digest.hexdigest())


def find_entry(path: Path) -> ModelFile:
    """The file as a server would find it in a models folder, alone or as a version in its model's folder.

    Raises `InvalidFileError` unless it is a file whose name ends in .onnx.
    """
    path = path.resolve()
    if path.suffix.lower() != SUFFIX or not path.is_file():
        raise InvalidFileError(f"`{path}` is no file whose name ends in `{SUFFIX}`")
    folder = path.parent
    if path.name == MODEL_FILE and VERSION.fullmatch(folder.name) and folder.parent.name:
        return ModelFile(folder.parent.name, folder.name, path)
    return ModelFile(path.stem, "1", path, bare=True)
