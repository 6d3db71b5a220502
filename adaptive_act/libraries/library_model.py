"""What is asked of a library, and a model with what is known of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from adaptact.errors import UsageError
from adaptact.suggestions import find_alike
from adaptive_act.checkpoint.description import TensorSpec

LIBRARIES = ("timm", "hf", "torchvision")
"""What may stand before the colon of a model's name."""
_OTHER_NAMES = {"transformers": "hf", "huggingface": "hf"}


@dataclass(frozen=True, slots=True)
class LibraryRequest:
    """A model to build, and the user's options for it."""

    name: str
    """Of the model in its library, or a folder, without what stands before the colon."""
    weights: Path | None = None
    random_weights: bool = False
    options: Mapping[str, Any] | None = None
    """Arguments of the function that builds the model, such as `num_classes`; None where none are given."""
    state_key: str | None = None
    """Which state_dict of several in the file to take."""


@dataclass(frozen=True, slots=True)
class DescribedModel:
    """A model in evaluation mode, and what its library, or its checkpoint, says of it."""

    model: nn.Module
    factory: str
    """The function that builds the same architecture again, as a checkpoint names it."""
    factory_kwargs: Mapping[str, Any]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    preprocessing: Mapping[str, Any] | None = None
    """Of images, as `convert.manifest.preprocessing` reads it."""
    tokenizer: str | None = None
    """The content of a `tokenizer.json`, with its padding and truncation."""
    longest: Mapping[str, int] = field(default_factory=dict)
    """The largest that free sizes may be, by name."""
    below: Mapping[str, int] = field(default_factory=dict)
    """The whole numbers of these inputs are 0 to one less than this."""
    files: tuple[Path, ...] = ()
    """From which a library's model was read; none for random weights."""
    notes: tuple[str, ...] = ()
    """What was taken off the weights' names, or is not described, in words."""


def is_library_name(source: str) -> bool:
    """Whether it names a model of a library, as `timm:resnet50` does."""
    library, colon, name = source.partition(":")
    return bool(colon and name) and library in LIBRARIES


def suggest_library(source: str) -> str | None:
    """A question, "did you mean `timm:resnet50`?", where the source may have been meant as such a name."""
    library, colon, name = source.partition(":")
    if not colon or library in LIBRARIES:
        return None
    alike = find_alike(library, (*LIBRARIES, *_OTHER_NAMES))
    return f"did you mean `{_OTHER_NAMES.get(alike[0], alike[0])}:{name}`?" if alike else None


def require_options(options: Mapping[str, Any] | None, refused: Callable[[str], bool], what: str) -> None:
    """Raises UsageError where an option would make the library read files or download them."""
    name = next((name for name in options or {} if refused(name)), None)
    if name is not None:
        raise UsageError(
            f"`{name}` is not an option of {what} here: weights are read from the file that `--weights` names"
        )
