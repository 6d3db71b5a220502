"""The baseline of a finished file, whoever wrote it."""

from pathlib import Path

from convert.errors import UsageError
from convert.evidence.baseline import record_baseline
from convert.evidence.inspection import OnnxFile
from convert.manifest.baseline import LEAST_ROWS, BaselineRecord
from convert.model_io.given import read_samples
from convert.sources.graph_inputs import describe_inputs


def measure_baseline(file: OnnxFile, samples: Path) -> BaselineRecord:
    """What the file holds on these samples; of activations where its manifest's baseline names them.

    Raises UsageError for samples that are none of the file, are too few, or hold nothing to compare with.
    """
    sizes = () if file.manifest is None else file.manifest.sizes
    inputs = describe_inputs(file.graph, (), file.path, sizes)
    sets = read_samples(samples, inputs, "the baseline's samples")
    recorded = None if file.manifest is None else file.manifest.baseline
    series = () if recorded is None else recorded.series
    reaching = [(each.layer, each.tensor) for each in series if each.role == "activation"]
    record = record_baseline(
        file.graph.graph, file.content, sets, reaching, "cpu", file.path.absolute().parent
    )
    if record is None:
        raise UsageError(f"`{samples}` holds fewer than {LEAST_ROWS} rows, too few for a baseline")
    if all(each.is_empty for each in record.series if each.role == "input"):
        raise UsageError(
            f"`{samples}` holds no finite number, only NaN and infinity; nothing can be compared with that",
            hint="give rows of real data, as the model gets them after preprocessing",
        )
    return record
