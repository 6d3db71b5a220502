"""What torch took for granted of the free sizes while it traced a model, and the sizes where that is not so.

torch follows one branch of `if x.shape[1] > 40` and keeps the condition beside the graph. Beyond it the graph
may still be right, since both branches often compute the same; so such sizes are tried.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import sympy
from torch import SymInt
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._sympy.printers import PythonPrinter

from convert.manifest.size_bounds import LARGEST_SIZE, SizeBounds
from convert.model_io.inputs import InputSpec, assign_batch
from convert.model_io.other_sizes import OtherSizes

MOST_TRIED = 64
"""Of doubtful sizes: each is run like a set of samples."""
MOST_MULTIPLE = 128
_USUAL = sorted({*range(1, 10), *(2**power + step for power in range(4, 21) for step in (-1, 0, 1))})


@dataclass(frozen=True, slots=True)
class SizeConditions:
    """Conditions on the free sizes, whose symbols have the sizes' names."""

    conditions: tuple[sympy.Basic, ...]
    inputs: tuple[InputSpec, ...]

    def list_doubtful(self) -> list[OtherSizes]:
        """Sizes within the inputs' bounds that break a condition, at most MOST_TRIED.

        They are those at the condition's limit, one beyond and one far beyond, and the nearest that breaks no
        other condition. Those that bounds can leave out come last.
        """
        usual = self._fill(2)
        smallest = {name: self._find_bounds(name).fit(1) for name in usual}
        bounds = {name: self._search(self._join(name), name, usual).suggest() for name in usual}
        found = [
            self._search(condition, name, base).list_doubtful(None if several else bounds[name])
            for condition in self.conditions
            for several in (len(condition.free_symbols) > 1,)
            for base in ((usual, smallest) if several else (usual,))
            for name in sorted(symbol.name for symbol in condition.free_symbols)
            if holds(condition, base)
        ]
        distinct: dict[tuple[int, ...], OtherSizes] = {}
        for doubt in filter(None, chain.from_iterable(zip_longest(*found))):
            distinct.setdefault(tuple(doubt.sizes.values()), doubt)
        tried = list(distinct.values())[:MOST_TRIED]
        return sorted(tried, key=lambda other: other.bounds is not None)

    def _join(self, name: str) -> sympy.Basic:
        """All conditions on this size alone, as one."""
        alone = (
            other for other in self.conditions if {symbol.name for symbol in other.free_symbols} == {name}
        )
        return sympy.And(*alone)

    def _search(self, condition: sympy.Basic, name: str, base: Mapping[str, int]) -> "_ConditionSearch":
        return _ConditionSearch(self, condition, name, base, self._find_bounds(name))

    def list_fixed(self) -> dict[str, int]:
        """The sizes for which the conditions hold as they were traced only, by name."""
        usual = self._fill(2)
        return {
            name: size
            for name, size in usual.items()
            if not any(self._hold({**usual, name: other}) for other in (size - 1, size + 1, 2 * size))
        }

    def _hold(self, sizes: Mapping[str, int]) -> bool:
        return all(holds(condition, sizes) for condition in self.conditions)

    def _fill(self, batch: int) -> dict[str, int]:
        sizes = assign_batch(self.inputs, batch)
        return {
            name: size
            for spec in self.inputs
            for name, size in zip(spec.shape, spec.fill_sizes(sizes), strict=True)
            if isinstance(name, str)
        }

    def _find_bounds(self, name: str) -> SizeBounds:
        return next(spec.get_bounds(name) for spec in self.inputs if name in spec.shape)


@dataclass(frozen=True, slots=True)
class _ConditionSearch:
    """One condition, which holds at the sizes of `base`, and one of its sizes to change."""

    conditions: SizeConditions
    condition: sympy.Basic
    name: str
    base: Mapping[str, int]
    bounds: SizeBounds

    def list_doubtful(self, bounds: SizeBounds | None) -> list[OtherSizes]:
        """The sizes that break the condition on either side of the base; `bounds` leave them out."""
        candidates = self._list_candidates()
        below = self._list_broken([size for size in reversed(candidates) if size < self.own])
        above = self._list_broken([size for size in candidates if size > self.own])
        condition = PythonPrinter().doprint(self.condition)
        return [OtherSizes({**self.base, self.name: size}, bounds, condition) for size in (*below, *above)]

    def suggest(self) -> SizeBounds | None:
        """Bounds within those given where the condition holds; None if it always does, or none fit."""
        candidates = self._list_candidates()
        below = self._find_limit([size for size in reversed(candidates) if size < self.own])
        above = self._find_limit([size for size in candidates if size > self.own])
        if self._breaks(self.own) or (below is None and above is None):
            return None
        is_between = below is not None and above is not None
        multiples = filter(self._holds_for_multiples, range(2, MOST_MULTIPLE + 1)) if is_between else iter(())
        multiple = next(multiples, None)
        try:
            if multiple is not None:
                return SizeBounds(self.name, multiple=multiple).intersect(self.bounds)
            if above is not None and not self._breaks(candidates[-1]):
                return SizeBounds(self.name, above + 1).intersect(self.bounds)  # more useful than small sizes
            low, high = 0 if below is None else below + 1, None if above is None else above - 1
            return SizeBounds(self.name, low, high).intersect(self.bounds)
        except ValueError:
            return None

    @property
    def own(self) -> int:
        """The size at which the condition holds."""
        return self.base[self.name]

    def _list_candidates(self) -> list[int]:
        constants = [abs(int(number)) for number in self.condition.atoms(sympy.Integer)]
        near = [constant + step for constant in constants for step in (-1, 0, 1)]
        fitting = {self.bounds.fit(size) for size in (*_USUAL, *near) if 1 <= size <= LARGEST_SIZE}
        return sorted(size for size in fitting if size >= 1)

    def _list_broken(self, side: Sequence[int]) -> list[int]:
        """Of the sizes on one side: the limit, one beyond and far beyond, and one that breaks this alone."""
        limit = self._find_limit(side)
        if limit is None:
            return []
        is_above = limit > self.own
        after = limit + (self.bounds.multiple if is_above else -self.bounds.multiple)
        far = next((size for size in side if (size > 2 * limit if is_above else 2 * size < limit)), limit)
        alone = next((size for size in side if self._breaks_alone(size)), limit)
        return [size for size in dict.fromkeys((limit, alone, after, far)) if size and self._breaks(size)]

    def _find_limit(self, side: Sequence[int]) -> int | None:
        """A size on this side that breaks, while the next towards the base does not; None if none does."""
        broken = next((size for size in side if self._breaks(size)), None)
        if broken is None:
            return None
        step, held = self.bounds.multiple, self.own
        while abs(broken - held) > step:
            middle = (broken + held) // (2 * step) * step
            if self._breaks(middle):
                broken = middle
            else:
                held = middle
        return broken

    def _breaks(self, size: int) -> bool:
        return self.bounds.allow(size) and not holds(self.condition, {**self.base, self.name: size})

    def _breaks_alone(self, size: int) -> bool:
        sizes = {**self.base, self.name: size}
        others = (condition for condition in self.conditions.conditions if condition is not self.condition)
        return self._breaks(size) and all(holds(condition, sizes) for condition in others)

    def _holds_for_multiples(self, multiple: int) -> bool:
        return not any(self._breaks(multiple * factor) for factor in range(1, MOST_MULTIPLE + 1))


def read_conditions(program: ExportedProgram, inputs: Sequence[InputSpec]) -> SizeConditions:
    """The conditions on the program's free sizes, in the names of the inputs' sizes."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    names: dict[sympy.Basic, sympy.Symbol] = {}
    environment: ShapeEnv | None = None
    for spec, place in zip(inputs, program.graph_signature.user_inputs, strict=True):
        for name, size in zip(spec.shape, values[str(place)].shape, strict=True):
            if isinstance(name, str) and isinstance(size, SymInt):
                environment = size.node.shape_env
                names.setdefault(size.node._expr, sympy.Symbol(name, integer=True, positive=True))
    if environment is None:
        return SizeConditions((), tuple(inputs))
    named = [
        condition.xreplace(names)
        for condition in _list_conditions(environment)
        if condition.free_symbols <= names.keys()
    ]
    return SizeConditions(tuple(dict.fromkeys(filter(_is_open, named))), tuple(inputs))


def _list_conditions(environment: ShapeEnv) -> Iterator[sympy.Basic]:
    """Ranges and equalities of the program's symbols, then its other conditions; some come twice."""
    for symbol, bounds in environment.var_to_range.items():
        if bounds.lower > 1:
            yield sympy.Ge(symbol, bounds.lower)
        if bounds.upper.is_Integer:  # and not infinite
            yield sympy.Le(symbol, bounds.upper)
    for symbol, value in environment.replacements.items():
        yield sympy.Eq(symbol, value)
    for asserted in chain.from_iterable(environment.deferred_runtime_asserts.values()):
        yield asserted.expr
    for guard in environment.guards:
        yield guard.expr


def _is_open(condition: sympy.Basic) -> bool:
    """Whether there are sizes that it depends on."""
    return bool(condition.free_symbols)


def holds(condition: sympy.Basic, sizes: Mapping[str, int]) -> bool:
    """Whether the condition is not known to be broken at these sizes; it is where it has no value."""
    numbers = {symbol: sympy.Integer(sizes[symbol.name]) for symbol in condition.free_symbols}
    try:
        return bool(condition.xreplace(numbers) != sympy.false)
    except ZeroDivisionError:  # as of a remainder by T // 2, at a T of 1
        return False
