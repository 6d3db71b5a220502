"""The reasons why the parity of a file proves less than it seems, in words."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import onnx_ir as ir

from adaptact.languages.catalogue import mark
from convert.graph.dependence import find_dependents
from convert.graph.nodes import get_attribute
from convert.manifest.records import CoverageRecord
from convert.model_io.array import Array
from convert.parity.coverage import Trials
from convert.parity.verify import Original
from convert.sources.source import Source

MOST_NAMED = 3


def judge(
    trials: Trials, original: Original, source: Source, file: ir.Model, losses: Iterable[str] = ()
) -> CoverageRecord:
    """What the trials say of the file: the reasons why its parity is weak, or none.

    `losses` are those on small signals.
    """
    held = {name for graph in file.graphs() for name in graph.initializers}
    unseen = tuple(
        name for name in trials.weights.unseen if name in held or name not in trials.weights.unread
    )
    reasons = (
        *(
            mark(
                "{share} % of output `{output}` is NaN on typical samples, where nothing is compared"
            ).format(share=f"{100 * share:.2g}", output=output)
            for output, share in trials.undefined.items()
        ),
        *_find_still_outputs(trials, original, file),
        *_find_unseen_weights(trials, unseen),
        *_find_untried_integers(trials),
        *_find_untried_rows(trials, original, source, file),
        *losses,
    )
    return CoverageRecord(reasons, trials.all_weights, len(trials.weights.tried), unseen, trials.integers)


def _find_still_outputs(trials: Trials, original: Original, file: ir.Model) -> Iterator[str]:
    moving, moved = ({pair[place] for pair in trials.moved} for place in (0, 1))
    outputs = [name for name in original.outputs if name not in moved]
    yield from (mark("no input moves output `{name}`").format(name=name) for name in outputs)
    for value in file.graph.inputs:
        if value.name not in moving:
            yield mark("input `{name}` moves no output").format(name=value.name)
            continue
        dependents = find_dependents(file.graph, value)
        for output in file.graph.outputs:
            is_still = output.name in moved and (value.name, output.name) not in trials.moved
            if is_still and output in dependents:
                text = mark("input `{input}` does not move output `{output}`, which is computed from it")
                yield text.format(input=value.name, output=output.name)


def _find_unseen_weights(trials: Trials, unseen: Sequence[str]) -> Iterator[str]:
    if trials.all_weights and not trials.weights.tried:
        yield mark("no weight was changed to see whether an output moves: one run is too much work")
    if unseen:
        named = ", ".join(f"`{name}`" for name in unseen[:MOST_NAMED])
        more = f" and {len(unseen) - MOST_NAMED} more" if len(unseen) > MOST_NAMED else ""
        text = mark("a change of {count} of {tried} weights moves no output on any sample: {names}")
        yield text.format(count=len(unseen), tried=len(trials.weights.tried), names=named + more)


def _find_untried_integers(trials: Trials) -> Iterator[str]:
    for tried in trials.integers:
        if tried.input not in trials.bounded:
            text = mark(
                "of the whole numbers of input `{input}`, which has no known bound, only those from "
                "{least} to "
                "{most} were compared"
            )
            yield text.format(input=tried.input, least=tried.least, most=tried.most)


def _find_untried_rows(trials: Trials, original: Original, source: Source, file: ir.Model) -> Iterator[str]:
    """A table that is the model's bit for bit needs no sample for each of its rows."""
    for tried in trials.integers:
        value = next((value for value in file.graph.inputs if value.name == tried.input), None)
        for table in () if value is None else _list_tables(file, value):
            rows = table.shape[0] if table.shape is not None else 0
            if isinstance(rows, int) and tried.different < rows and not _is_models(table, original, source):
                text = mark(
                    "{different} of the {rows} rows of `{table}` were looked up, and its numbers are not the "
                    "model's bit for bit"
                )
                yield text.format(different=tried.different, rows=rows, table=table.name)


def _list_tables(file: ir.Model, indices: ir.Value) -> list[ir.Value]:
    """The constants whose rows are looked up by these indices, or by numbers computed from them."""
    dependents = find_dependents(file.graph, indices)
    tables = [
        node.inputs[0]
        for node in file.graph
        if node.op_type == "Gather" and node.inputs[1] in dependents and get_attribute(node, "axis", 0) == 0
    ]
    return list(
        dict.fromkeys(table for table in tables if table is not None and table.const_value is not None)
    )


def _is_models(table: ir.Value, original: Original, source: Source) -> bool:
    """Whether a weight of the model has the table's very numbers."""
    numbers = table.const_value.numpy() if table.const_value is not None else None
    return numbers is not None and any(
        np.array_equal(own, numbers) for own in _list_own_weights(original, source, numbers.shape)
    )


def _list_own_weights(original: Original, source: Source, shape: tuple[int, ...]) -> Iterator[Array]:
    if source.graph is not None:
        constants = [value.const_value for value in source.graph.graph.initializers.values()]
        yield from (own.numpy() for own in constants if own is not None and tuple(own.shape) == shape)
        return
    for tensor in (*original.float32.parameters(), *original.float32.buffers()):
        if tensor.shape == shape:
            yield tensor.detach().numpy()
