"""A model's file, loaded into this process as a server loads it."""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from serve.client.batch.offline.batches import Batch, RepeatedBatch
from serve.client.batch.offline.model_files import find_entry, find_root
from serve.client.batch.run import check_rows
from serve.client.batch.texts import cuts_texts
from serve.client.errors import InvalidFileError
from serve.engine.config import ModelConfig
from serve.engine.datatypes import BY_NAME
from serve.engine.errors import StartupError
from serve.engine.metrics import Metrics
from serve.engine.model_loader import ModelLoader
from serve.engine.options import EngineOptions
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
        options = EngineOptions(find_root(entry), model_limit_bytes=MODEL_BYTES, load_seconds=LOAD_SECONDS)
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
