"""A model's inputs: names, types and shapes, from a checkpoint or from the command line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from adaptive_act import TensorSpec
from convert.errors import UsageError
from convert.manifest.size_bounds import SizeBounds
from convert.model_io.array import TEXT
from convert.model_io.size_bounds import LONGEST_NAME, intersect_all, parse_size_bounds

DTYPES = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool", TEXT)
LARGEST_RANK = 8
LARGEST_INPUT = 2**28  # elements, with free sizes of FREE_SIZE
FREE_SIZE = 32  # a free size other than the batch in generated samples: the smallest for image networks
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.:/\-]*"
_INPUT = re.compile(
    rf"(?P<name>{_NAME}):(?P<dtype>[a-z0-9]+)\[(?P<shape>[^\[\]]*)\](?:<(?P<below>[0-9]{{1,10}}))?"
)


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input. A size is a number, or the name of a free size; equal names are equal sizes."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    below: int | None = None
    """The integers that the model takes are 0 to one less than this; None where that is not known."""
    size_bounds: tuple[SizeBounds, ...] = ()
    """Of its free sizes, by name; a size without any may be anything."""
    texts: tuple[str, ...] = ("",)
    """The texts that are tried, where the input holds texts."""
    levels: tuple[tuple[float, ...], ...] = ()
    """The numbers at which the model's trees turn, ascending, for each column of [N, columns]."""
    turn: tuple[int, int] = (0, 1)
    """Its place among the inputs with levels, and their count: a sample is at a level in one of them."""

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
        if self.dtype in ("bool", TEXT) or self.dtype.startswith("float"):
            raise UsageError(
                f"input `{self.name}` is {self.dtype}, only whole numbers have a bound `<{below}`"
            )
        largest = int(np.iinfo(self.dtype).max) + 1
        if not 0 < below <= largest:
            raise UsageError(f"input `{self.name}` has the bound `<{below}`, expected 1 to {largest}")

    @property
    def shape_text(self) -> str:
        """The shape as text: `[N,3,32,32]`, or with the bounds of its sizes: `[N,T>=2]`."""
        texts = {bounds.name: bounds.text for bounds in self.size_bounds}
        return f"[{','.join(texts.get(str(size), str(size)) for size in self.shape)}]"

    @property
    def text(self) -> str:
        """The input as it is described on the command line: `ids:int64[N,T]<30522`."""
        below = "" if self.below is None else f"<{self.below}"
        return f"{self.name}:{self.dtype}{self.shape_text}{below}"

    @property
    def free_batch(self) -> str | None:
        """The name of the first size where that is free, usually the batch."""
        return self.shape[0] if self.shape and isinstance(self.shape[0], str) else None

    def fill_sizes(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape with numbers for its free sizes: those in `sizes`, else FREE_SIZE or the nearest."""
        return tuple(
            size if isinstance(size, int) else sizes.get(size, self.get_bounds(size).fit(FREE_SIZE))
            for size in self.shape
        )

    def get_bounds(self, size: str) -> SizeBounds:
        """The bounds of the free size of this name."""
        return next((bounds for bounds in self.size_bounds if bounds.name == size), SizeBounds(size))


def assign_batch(inputs: Sequence[InputSpec], batch: int) -> dict[str, int]:
    """The free first sizes of the inputs, all at `batch`, or the nearest size that they take."""
    return {
        spec.free_batch: spec.get_bounds(spec.free_batch).fit(batch)
        for spec in inputs
        if spec.free_batch is not None
    }


def add_size_bounds(inputs: Sequence[InputSpec], bounds: Sequence[SizeBounds]) -> tuple[InputSpec, ...]:
    """The inputs, each within these bounds too. Raises UsageError where that leaves hardly a size."""
    return share_size_bounds(
        [replace(spec, size_bounds=(*spec.size_bounds, *_select(bounds, spec.shape))) for spec in inputs]
    )


def _select(bounds: Sequence[SizeBounds], shape: Sequence[int | str]) -> list[SizeBounds]:
    return [each for each in bounds if each.name in shape]


def share_size_bounds(inputs: Sequence[InputSpec]) -> tuple[InputSpec, ...]:
    """The inputs, each with the bounds that any of them gives a size of that name.

    Raises UsageError where two inputs' bounds leave hardly a size.
    """
    given = [bounds for spec in inputs for bounds in spec.size_bounds]
    shared = {
        name: intersect_all(bounds for bounds in given if bounds.name == name)
        for name in dict.fromkeys(bounds.name for bounds in given)
    }
    return tuple(
        replace(spec, size_bounds=tuple(shared[name] for name in dict.fromkeys(spec.shape) if name in shared))
        for spec in inputs
    )


def parse_input(text: str) -> InputSpec:
    """The input that `name:float32[N,3,32,32]` describes; a size that is a word (or `?`) is free.

    `T>=2`, `2<=T<=512`, `T%8==0`, and these joined by `and`, are free sizes within bounds.
    `ids:int64[N,T]<30522` holds whole numbers from 0 to 30521.
    Raises UsageError where the text is not of this form.
    """
    match = _INPUT.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"input `{text[:200]}` cannot be read, expected `name:float32[N,3,32,32]`")
    name, axes = match["name"], match["shape"].strip()
    parts = [part.strip() for part in axes.split(",")] if axes else []
    sizes = [_parse_size(name, axis, part) for axis, part in enumerate(parts)]
    shape = tuple(size.name if isinstance(size, SizeBounds) else size for size in sizes)
    bounds = tuple(size for size in sizes if isinstance(size, SizeBounds) and size.is_limiting)
    spec = InputSpec(name, match["dtype"], shape, int(match["below"]) if match["below"] else None, bounds)
    return share_size_bounds([spec])[0]


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


def _parse_size(name: str, axis: int, part: str) -> int | SizeBounds:
    if part in ("?", "None"):
        return SizeBounds(name_free_size(name, axis))
    if part.isascii() and part.isdigit() and len(part) < 12:
        return int(part)
    bounds = parse_size_bounds(part)
    if bounds is None:
        raise UsageError(
            f"input `{name}` has size `{part[:50]}` at axis {axis}, expected a number, a name such as `N`, "
            "or bounds such as `N>=2`, `2<=N<=512` or `N%8==0`"
        )
    return bounds


def name_free_size(name: str, axis: int) -> str:
    """The name of a free size that the user did not name; a first size is the batch of all inputs."""
    return "batch" if axis == 0 else f"{re.sub('[^A-Za-z0-9_]', '_', name)}_{axis}"
