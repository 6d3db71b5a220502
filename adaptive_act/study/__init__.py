"""Does an activation that learns pay? A baseline against chosen activations, paired, over several seeds."""

from adaptive_act.study.pipeline import study
from adaptive_act.study.plan import Plan
from adaptive_act.study.results import Results
from adaptive_act.study.specs import Architecture, DataSpec, Training

__all__ = ["Architecture", "DataSpec", "Plan", "Results", "Training", "study"]
