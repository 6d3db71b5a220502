"""Which models are unloaded so that another one fits: decided from what every process says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serve.engine.errors import ModelUnloadedError, quote
from serve.engine.memory.amounts import ModelMemory, format_size


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A loaded model in all processes together."""

    name: str
    bytes: int
    last_used: int
    """When a request to it was answered last, in milliseconds since 1970; else when it was loaded."""
    is_held: bool
    """Whether it stays: it runs, it is pinned, or an experiment needs it."""


Report = Mapping[str, Any]
"""What one process says: `limit`, `need` of the model that is to be loaded, and its loaded `models`, by name:
bytes that are shared and its own, when it was last used, and whether it is held."""


def plan_room(name: str, reports: Sequence[Report]) -> list[str]:
    """The models to unload so that this one can be loaded: those used longest ago.

    Raises `ModelUnloadedError` where those that may be unloaded do not suffice. One that is alone is loaded
    in any case: only then it is known what it takes.
    """
    missing = [report for report in reports if name not in report["models"]]
    if not missing or not missing[0]["limit"]:
        return []
    everything, limit = _join(reports), missing[0]["limit"]
    loaded = [model for model in everything if model.name != name]
    need = max(_count_need(report, len(missing), len(reports)) for report in missing)
    excess = sum(model.bytes for model in everything) + need - limit
    victims = []
    for model in sorted(loaded, key=lambda model: model.last_used):
        if excess > 0 and not model.is_held:
            victims.append(model.name)
            excess -= model.bytes
    if excess > 0 and len(victims) < len(loaded):
        raise ModelUnloadedError(
            f"model {quote(name)} is unloaded and takes {format_size(need)}; {format_size(limit)} of "
            f"`--model-memory` are taken by models that are in use or pinned; try again later"
        )
    return victims


def _count_need(report: Report, missing: int, processes: int) -> int:
    """The bytes of so many processes that lack the model; what is shared, one that has it has already."""
    shared, own = report["need"]
    return ModelMemory(shared if missing == processes else 0, own).count(missing)


def _join(reports: Sequence[Report]) -> list[LoadedModel]:
    """The reports' models; what is shared counts once."""
    names = dict.fromkeys(name for report in reports for name in report["models"])
    joined = []
    for name in names:
        given = [report["models"][name] for report in reports if name in report["models"]]
        size = max(shared for shared, *_ in given) + sum(own for _, own, *_ in given)
        last_used, is_held = max(used for _, _, used, _ in given), any(held for *_, held in given)
        joined.append(LoadedModel(name, size, last_used, is_held))
    return joined
