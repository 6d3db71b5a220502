"""Training with adaptive activations: learning rates, schedules, monitoring, rollback."""

from adaptive_act.training.calibrate import calibrate
from adaptive_act.training.divergence import Options
from adaptive_act.training.groups import learned_parameters, parameter_groups
from adaptive_act.training.guard import Event, Guard
from adaptive_act.training.monitor import CSVWriter, Monitor, TensorBoardWriter, Writer
from adaptive_act.training.regularise import CurvatureBound, Pull, SlopeBound
from adaptive_act.training.schedule import Freeze, GammaRamp, Schedule, Schedules, WarmUp
from adaptive_act.training.stopping import EarlyStopping

__all__ = [
    "CSVWriter",
    "CurvatureBound",
    "EarlyStopping",
    "Event",
    "Freeze",
    "GammaRamp",
    "Guard",
    "Monitor",
    "Options",
    "Pull",
    "Schedule",
    "Schedules",
    "SlopeBound",
    "TensorBoardWriter",
    "WarmUp",
    "Writer",
    "calibrate",
    "learned_parameters",
    "parameter_groups",
]
