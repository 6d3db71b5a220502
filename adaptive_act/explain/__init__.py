"""What the activations of a model have learned, what reached them, and what they decide."""

from adaptive_act.explain.curves import curves_figure, draw_curves
from adaptive_act.explain.decision_figures import classes_figure, decisions_figure
from adaptive_act.explain.decisions import Change, Decision, Decisions, decide
from adaptive_act.explain.drift import Drift, Track, drift_figure, read_tracks
from adaptive_act.explain.intervals import Interval
from adaptive_act.explain.layers import Layer, layers
from adaptive_act.explain.reach import Reach, reach
from adaptive_act.explain.report import Findings, report, write_pictures
from adaptive_act.explain.wording import explain_layer as explained

__all__ = [
    "Change",
    "Decision",
    "Decisions",
    "Drift",
    "Findings",
    "Interval",
    "Layer",
    "Reach",
    "Track",
    "classes_figure",
    "curves_figure",
    "decide",
    "decisions_figure",
    "draw_curves",
    "drift_figure",
    "explained",
    "layers",
    "reach",
    "read_tracks",
    "report",
    "write_pictures",
]
