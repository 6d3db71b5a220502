"""Studies that compare activations with a baseline, in paired runs over several seeds."""

from adaptive_act.study.pipeline import study
from adaptive_act.study.plan import Plan
from adaptive_act.study.results import Results
from adaptive_act.study.specs import Architecture, DataSpec, Training

__all__ = ["Architecture", "DataSpec", "Plan", "Results", "Training", "study"]
