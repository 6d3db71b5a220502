"""A model's inputs: names, types and shapes, from a checkpoint or from the command line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from adaptive_act import TensorSpec
from convert.errors import UsageError

DTYPES = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")
LARGEST_RANK = 8
LARGEST_INPUT = 2**28  # elements, with free sizes of FREE_SIZE
FREE_SIZE = 32  # a free size other than the batch in generated samples: the smallest for image networks
LONGEST_NAME = 128
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.:/\-]*"
_INPUT = re.compile(
    rf"(?P<name>{_NAME}):(?P<dtype>[a-z0-9]+)\[(?P<shape>[^\[\]]*)\](?:<(?P<below>[0-9]{{1,10}}))?"
)
_FREE_SIZE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input. A size is a number, or the name of a free size; equal names are equal sizes."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    below: int | None = None
    """The integers that the model takes are 0 to one less than this; None where that is not known."""

    def __post_init__(self) -> None:
        if not re.fullmatch(_NAME, self.name) or len(self.name) > LONGEST_NAME:
            raise UsageError(
                f"input name `{self.name[:LONGEST_NAME]}` is not one: expected letters, digits, `_.:/-`"
            )
        if self.dtype not in DTYPES:
            raise UsageError(
                f"input `{self.name}` has type `{self.dtype}`, expected one of: {', '.join(DTYPES)}"
            )
        if len(self.shape) > LARGEST_RANK:
            raise UsageError(
                f"input `{self.name}` has {len(self.shape)} axes, expected at most {LARGEST_RANK}"
            )
        if any(isinstance(size, int) and size < 1 for size in self.shape):
            raise UsageError(f"input `{self.name}` has shape {self.shape_text}, expected sizes of at least 1")
        if prod(self.fill_sizes({})) > LARGEST_INPUT:
            raise UsageError(
                f"input `{self.name}` has shape {self.shape_text}, more than {LARGEST_INPUT} elements"
            )
        if self.below is not None:
            self._require_bound(self.below)

    def _require_bound(self, below: int) -> None:
        if self.dtype == "bool" or self.dtype.startswith("float"):
            raise UsageError(
                f"input `{self.name}` is {self.dtype}, only whole numbers have a bound `<{below}`"
            )
        largest = int(np.iinfo(self.dtype).max) + 1
        if not 0 < below <= largest:
            raise UsageError(f"input `{self.name}` has the bound `<{below}`, expected 1 to {largest}")

    @property
    def shape_text(self) -> str:
        """The shape as text: `[N,3,32,32]`."""
        return f"[{','.join(str(size) for size in self.shape)}]"

    @property
    def free_batch(self) -> str | None:
        """The name of the first size where that is free, usually the batch."""
        return self.shape[0] if self.shape and isinstance(self.shape[0], str) else None

    def fill_sizes(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape with numbers for its free sizes: those in `sizes`, else FREE_SIZE."""
        return tuple(size if isinstance(size, int) else sizes.get(size, FREE_SIZE) for size in self.shape)


def assign_batch(inputs: Sequence[InputSpec], batch: int) -> dict[str, int]:
    """The free first sizes of the inputs, all at `batch`."""
    return {spec.free_batch: batch for spec in inputs if spec.free_batch is not None}


def parse_input(text: str) -> InputSpec:
    """The input that `name:float32[N,3,32,32]` describes; a size that is a word (or `?`) is free.

    `ids:int64[N,T]<30522` holds whole numbers from 0 to 30521.
    Raises UsageError where the text is not of this form.
    """
    match = _INPUT.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"input `{text[:200]}` cannot be read, expected `name:float32[N,3,32,32]`")
    name, sizes = match["name"], match["shape"].strip()
    parts = [part.strip() for part in sizes.split(",")] if sizes else []
    shape = tuple(_parse_size(name, axis, part) for axis, part in enumerate(parts))
    return InputSpec(name, match["dtype"], shape, int(match["below"]) if match["below"] else None)


def build_inputs(specs: Sequence[TensorSpec]) -> tuple[InputSpec, ...]:
    """A checkpoint's inputs; a free first size is `batch` for all inputs, any other has its own name."""
    return tuple(
        InputSpec(
            spec.name,
            spec.dtype,
            tuple(
                name_free_size(spec.name, axis) if size is None else size
                for axis, size in enumerate(spec.shape)
            ),
        )
        for spec in specs
    )


def require_distinct(inputs: Sequence[InputSpec]) -> tuple[InputSpec, ...]:
    """The inputs unchanged; raises UsageError where there are none, or two of one name."""
    names = [spec.name for spec in inputs]
    if not names:
        raise UsageError(
            "the model's inputs are not known", hint="describe each: --input 'name:float32[N,3,32,32]'"
        )
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UsageError(f"input `{repeated}` is described twice")
    return tuple(inputs)


def _parse_size(name: str, axis: int, part: str) -> int | str:
    if part in ("?", "None"):
        return name_free_size(name, axis)
    if part.isascii() and part.isdigit() and len(part) < 12:
        return int(part)
    if _FREE_SIZE_NAME.fullmatch(part) and len(part) <= LONGEST_NAME:
        return part
    raise UsageError(
        f"input `{name}` has size `{part[:50]}` at axis {axis}, expected a number or a name such as `N`"
    )


def name_free_size(name: str, axis: int) -> str:
    """The name of a free size that the user did not name; a first size is the batch of all inputs."""
    return "batch" if axis == 0 else f"{re.sub('[^A-Za-z0-9_]', '_', name)}_{axis}"
