"""A machine whose times are planted and whose clock only its own runs move."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from convert.tuning.timing import Turn

BASE_SECONDS = 0.01


@dataclass
class PlantedMachine:
    """Each operator adds its cost, in seconds, to BASE_SECONDS; `batches` may each have costs of their own.

    `noise` is the deviation of the logarithm of every time.
    """

    batches: Sequence[Mapping[str, float]] = ({},)
    noise: float = 0.0
    load_seconds: float = 0.05
    clock: float = 100.0
    loaded: list[Counter[str]] = field(default_factory=list)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))

    def now(self) -> float:
        return self.clock

    def load(self, graph: ir.Model) -> Turn:
        operators = Counter(node.op_type for node in graph.graph)
        self.loaded.append(operators)
        self.clock += self.load_seconds
        costs = [self._seconds(operators, costs) for costs in self.batches]

        def turn() -> list[float]:
            times = [seconds * float(np.exp(self.noise * self.random.standard_normal())) for seconds in costs]
            self.clock += sum(times)
            return times

        return turn

    def _seconds(self, operators: Counter[str], costs: Mapping[str, float]) -> float:
        return BASE_SECONDS + sum(costs.get(name, 0.0) * count for name, count in operators.items())
