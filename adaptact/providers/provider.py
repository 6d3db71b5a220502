"""What all execution providers share: a session on one, or an error that says what to do."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

from adaptact.errors import ProviderError, UnsuitableModelError

Precision: TypeAlias = Literal["fp32", "fp16", "bf16"]
Options: TypeAlias = Mapping[str, str]
"""A provider's options, by its own names."""
Ort: TypeAlias = Any
"""An object of ONNX Runtime, which has no types and is loaded as late as possible."""

RECORD_PLACES = "session.record_ep_graph_assignment_info"


class Provider(ABC):
    """An execution provider: the name that people ask for it by, and what ONNX Runtime calls it."""

    name: ClassVar[str]
    native: ClassVar[str]
    extra: ClassVar[str]
    """The extra of adaptact that installs what it needs."""
    on_gpu: ClassVar[bool] = False
    """Whether it computes on a GPU: in that one's memory, and by the wall clock."""
    whole_bits: ClassVar[int] = 64
    """The bits of the widest whole numbers that it computes with; it cuts off the rest."""
    unsuited: ClassVar[Mapping[str, str]] = {}
    """The types of inputs and outputs that it gets wrong, by ONNX Runtime's names, and in what way."""
    unsuited_operators: ClassVar[Mapping[str, str]] = {}
    """The operators that it gets wrong where clients choose whole numbers, and in what way."""

    @abstractmethod
    def is_installed(self) -> bool:
        """Whether what it needs from Python's packages is there: it may still find no device."""

    @abstractmethod
    def require(self) -> None:
        """Make it ready in this process; ProviderError says what to install where that cannot be."""

    def options(self, threads: int, precision: Precision) -> Options:
        """The options with which it computes in this precision and with so many threads, 0 for its choice.

        Without it, a provider may compute in fewer bits than the file says. Raises ProviderError where it
        cannot compute so.
        """
        if not self.computes(precision):
            raise ProviderError(f"provider `{self.name}` does not compute in {precision} on this machine")
        return {}

    def computes(self, precision: Precision) -> bool:
        """Whether it can compute a graph of float32 in this precision, with instructions for it."""
        return precision == "fp32"

    def open(
        self,
        model: bytes | str,
        options: Ort,
        *,
        precision: Precision = "fp32",
        more: Options | None = None,
        device: int = 0,
    ) -> Ort:
        """An InferenceSession of a graph, or of the file of that path: what it cannot compute the CPU does.

        `options` are ONNX Runtime's SessionOptions, whose threads hold for the provider too; `more` are the
        provider's own, `device` is the index of its device. Raises ProviderError where it is missing or does
        not start, which ONNX Runtime would only warn of, UnsuitableModelError for a graph that it gets wrong,
        and ONNX Runtime's errors for the graph.
        """
        options.add_session_config_entry(RECORD_PLACES, "1")
        self.require()
        native = {**self.options(options.intra_op_num_threads, precision), **(more or {})}
        session = self._open(model, options, native, device)
        if self.native not in session.get_providers():
            raise ProviderError(
                f"provider `{self.name}` was asked for, but ONNX Runtime could not start it",
                self._start_hint(),
            )
        self._require_suited(session)
        return session

    @abstractmethod
    def _open(self, model: bytes | str, options: Ort, native: Options, device: int) -> Ort:
        """The session; ONNX Runtime may have left the provider out."""

    def _require_suited(self, session: Ort) -> None:
        values = [*session.get_inputs(), *session.get_outputs()]
        faults = [self.unsuited[value.type] for value in values if value.type in self.unsuited]
        if any("int" in value.type for value in session.get_inputs()):
            faults += [self.unsuited_operators[name] for name in sorted(self._list_own(session))]
        if faults:
            raise UnsuitableModelError(
                f"provider `{self.name}` {faults[0]}, which this model has", "choose `cpu` for it"
            )

    def _list_own(self, session: Ort) -> set[str]:
        """The unsuited operators of the graph that this provider would compute."""
        if not self.unsuited_operators:
            return set()
        own = [part for part in session.get_provider_graph_assignment_info() if part.ep_name == self.native]
        return {node.op_type for part in own for node in part.get_nodes()} & self.unsuited_operators.keys()

    def _start_hint(self) -> str | None:
        return None


def count_nodes(session: Ort) -> dict[str, int]:
    """How many nodes of the optimised graph each provider computes, by ONNX Runtime's names.

    Nothing is known of a file in ONNX Runtime's own format.
    """
    return {name: sum(own.values()) for name, own in count_operators(session).items()}


def count_operators(session: Ort) -> dict[str, dict[str, int]]:
    """The same of each operator, by its provider."""
    counts: dict[str, Counter[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        own = counts.setdefault(part.ep_name, Counter())
        own.update(node.op_type for node in part.get_nodes())
    return {name: dict(own) for name, own in counts.items()}
