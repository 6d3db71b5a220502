"""How the learned values drift while a model trains."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from adaptact.languages.spoken import say
from adaptact.style import SERIES
from adaptive_act.errors import ExplainError
from adaptive_act.explain.arrays import Numbers
from adaptive_act.explain.start import distinct_activations
from adaptive_act.explain.subplots import FAINT, STYLES, add_title, fit_text, make_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_RECORDS = 512
"""The most records that are kept; then every second one is dropped, so that memory stays bounded."""
MOST_NAMED = 6
"""The most parameters with a line each; for more, the distance from the first record is drawn."""

_HEIGHT = 1.9  # inches


@dataclass(frozen=True, slots=True)
class Track:
    """One layer's learned values over the training: `values` holds [steps, 1 or C] for each parameter."""

    layer: str
    kind: str
    steps: Sequence[int]
    values: Mapping[str, Numbers]


class Drift:
    """Records the learned values of every activation of a model at each call of `record`."""

    def __init__(self, model: nn.Module) -> None:
        self._activations = {
            names[0]: activation for activation, names in distinct_activations(model).items()
        }
        self._records: list[tuple[int, dict[str, dict[str, Numbers]]]] = []
        self._every = 1
        self._asked = 0

    def record(self, step: int) -> None:
        """Adds the current values; once there are many records, only every second, fourth, ... call does."""
        due = self._asked % self._every == 0
        self._asked += 1
        if not due:
            return
        now = {
            layer: {name: value.float().cpu().numpy() for name, value in activation.values().items()}
            for layer, activation in self._activations.items()
        }
        self._records.append((step, now))
        if len(self._records) > MOST_RECORDS:
            self._records = self._records[::2]
            self._every *= 2

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The recorded values, layer by layer."""
        steps = [step for step, _ in self._records]
        return tuple(
            Track(
                layer,
                type(activation).__name__,
                steps,
                {
                    name: np.stack([values[layer][name] for _, values in self._records])
                    for name in (self._records[0][1][layer] if self._records else {})
                },
            )
            for layer, activation in self._activations.items()
        )


def read_tracks(path: Path) -> tuple[Track, ...]:
    """The tracks in the CSV file of a training monitor, which has the lines `step,layer,quantity,value`.

    Of values learned per channel it holds the least, the mean and the largest, which stand for the channels
    here. Where a step was written twice, as by a run that was set back, the last line counts. Raises
    ExplainError where the file is something else or holds no learned value.
    """
    layers: dict[str, dict[str, dict[int, dict[str, float]]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, restval=""):
                kind, _, rest = row["quantity"].partition("/")
                name, _, part = rest.partition("/")
                if kind == "value":
                    steps = layers.setdefault(row["layer"], {}).setdefault(name, {})
                    steps.setdefault(int(row["step"]), {})[part] = float(row["value"])
    except (KeyError, ValueError, csv.Error) as error:
        expected = "a monitor's CSV file (step,layer,quantity,value)"
        raise ExplainError(f"expected {expected} in `{path}`, got {error!r}") from error
    if not layers:
        raise ExplainError(
            f"`{path}` holds no learned value: expected lines such as `100,features.1,value/a,0.25`"
        )
    try:
        return tuple(_make_track(layer, names) for layer, names in layers.items())
    except ValueError as error:
        raise ExplainError(f"`{path}`: {error}") from error


def _make_track(layer: str, names: Mapping[str, Mapping[int, Mapping[str, float]]]) -> Track:
    """The values of one layer, without a step that is torn; raises ValueError where two models wrote them."""
    parts = {name: recorded[min(recorded)].keys() for name, recorded in names.items()}
    steps = [
        step
        for step in sorted(set.intersection(*(set(recorded) for recorded in names.values())))
        if not any(recorded[step].keys() < parts[name] for name, recorded in names.items())
    ]
    is_one = all(recorded[step].keys() == parts[name] for name, recorded in names.items() for step in steps)
    if not steps or not is_one:
        raise ValueError(
            f"expected the same values of layer `{layer}` at each step, got others at some, as of two "
            "models; give each run a file of its own"
        )
    values = {
        name: np.array([[recorded[step][part] for part in sorted(recorded[step])] for step in steps])
        for name, recorded in names.items()
    }
    return Track(layer, "", steps, values)


def drift_figure(tracks: Sequence[Track]) -> "Figure":
    """One panel for each layer: a line for each parameter, or its median and range over the channels."""
    grid = make_grid(len(tracks), [_HEIGHT])
    for (panel,), track in zip(grid.panels, tracks, strict=True):
        add_title(panel, track.layer, _subtitle(track))
        panel.set_xlabel(say("training step"), fontsize=7.5, labelpad=2)
        panel.axhline(0, color=FAINT, linewidth=0.7, zorder=0)
        if not track.values:
            panel.set_title(say("it learns no value of its own"), y=0.45, fontsize=7)
        elif len(track.values) > MOST_NAMED:
            _draw_distance(panel, track)
        else:
            _draw_values(panel, track)
    return grid.figure


def _subtitle(track: Track) -> str:
    per_channel = any(values.shape[1] > 1 for values in track.values.values())
    return ", ".join(filter(None, (track.kind, say("middle and range over channels") if per_channel else "")))


def _draw_values(panel: "Axes", track: Track) -> None:
    panel.set_ylabel(say("learned value"), fontsize=7.5, labelpad=2)
    for (name, values), colour, style in zip(track.values.items(), SERIES, cycle(STYLES), strict=False):
        middle = np.median(values, axis=1)
        panel.plot(track.steps, middle, color=colour, linestyle=style, linewidth=1.8, label=fit_text(name))
        if values.shape[1] > 1:
            least, most = values.min(1), values.max(1)
            panel.fill_between(track.steps, least, most, color=colour, alpha=0.15, linewidth=0)
    panel.legend(fontsize=6.5, frameon=False, loc="best", handlelength=2.5)


def _draw_distance(panel: "Axes", track: Track) -> None:
    together = np.concatenate([values - values[:1] for values in track.values.values()], axis=1)
    panel.plot(track.steps, np.sqrt((together**2).mean(1)), color=SERIES[0], linewidth=1.8)
    panel.set_ylabel(say("RMS change of {count} values", count=len(track.values)), fontsize=7.5, labelpad=2)
