"""What the user says of a model besides its file: classes, preprocessing, names of outputs, a tokenizer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from convert.errors import UsageError
from convert.manifest.description import Description, Shape, find_misfit
from convert.manifest.preprocessing import Preprocessing
from convert.sources.source import Source


@dataclass(frozen=True, slots=True)
class GivenDescription:
    """What is None stays as the source has it."""

    classes: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    outputs: tuple[str, ...] | None = None
    tokenizer: str | None = None
    """The content of a `tokenizer.json`."""
    without: frozenset[str] = frozenset()
    """Which of classes, preprocessing and tokenizer are left out, though the source has them."""

    @property
    def description(self) -> Description:
        """What of it belongs into a file."""
        return Description(classes=self.classes, preprocessing=self.preprocessing)


UNCHANGED = GivenDescription()
TOKENS = "input_ids"
"""The input of a model of texts that its tokenizer's numbers go into."""


def describe(source: Source, given: GivenDescription) -> Source:
    """The source as the user describes it. Raises UsageError where that renames an ONNX file's outputs."""
    if given.outputs is not None and source.graph is not None:
        raise UsageError("`--output-names` names the outputs of a model of torch; an ONNX file keeps its own")
    preprocessing = None if given.preprocessing is None else given.preprocessing.to_json()
    changes = {
        "classes": given.classes,
        "preprocessing": preprocessing,
        "outputs": given.outputs,
        "tokenizer": given.tokenizer,
    }
    kept = {name: value for name, value in changes.items() if value is not None}
    return replace(source, **kept, **dict.fromkeys(given.without - kept.keys()))  # type: ignore[arg-type]


def require_fitting(given: GivenDescription, graph: ir.Model) -> None:
    """Raises UsageError where the description is not one of a model with the graph's inputs and outputs."""
    shapes = (list_shapes(graph.graph.inputs), list_shapes(graph.graph.outputs))
    for part in (Description(given.classes), Description(preprocessing=given.preprocessing)):
        misfit = find_misfit(part, *shapes)
        if misfit is not None:
            raise UsageError(misfit, hint="describe this model, or leave the option out")


def require_known_tokens(source: Source) -> None:
    """Raises UsageError where the tokenizer makes tokens that the model has no embedding for."""
    below = next((spec.below for spec in source.inputs if spec.name == TOKENS), None)
    if source.tokenizer is None or below is None:
        return
    tokens = count_tokens(source.tokenizer)
    if tokens > below:
        raise UsageError(
            f"the tokenizer numbers its tokens up to {tokens - 1}, and the model has {below} embeddings, for "
            f"0 to {below - 1}: it is the tokenizer of another model",
            hint="name this model's: --tokenizer tokenizer.json; or leave it out: --tokenizer none",
        )


def count_tokens(tokenizer: str) -> int:
    """One more than the largest number of a token in the `tokenizer.json`; 0 where it is of another form."""
    content = json.loads(tokenizer)
    vocabulary, added = content["model"].get("vocab"), content.get("added_tokens")
    numbers = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
    numbers += range(len(vocabulary)) if isinstance(vocabulary, list) else []
    numbers += (
        [token.get("id") for token in added if isinstance(token, dict)] if isinstance(added, list) else []
    )
    return 1 + max((number for number in numbers if isinstance(number, int)), default=-1)


def list_shapes(values: Sequence[ir.Value]) -> list[Shape]:
    """The name of each, and its sizes, None where one is free."""
    return [
        (value.name or "", [size if isinstance(size, int) else None for size in value.shape or ()])
        for value in values
    ]
