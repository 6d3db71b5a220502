"""Everything that adaptive_act raises on its own account.

AdaptiveActError
├── SwapError            the model could not be given the activations that were asked for
│   └── FixedPointError  the activation never equals the one it should replace
├── FactoryError         the code that builds a model is missing, unmarked or failed
└── CheckpointError      the file is not a checkpoint that this version can read
"""


class AdaptiveActError(Exception):
    """The root of this package's errors."""


class SwapError(AdaptiveActError):
    """The model could not be given the activations that were asked for."""


class FixedPointError(SwapError):
    """The activation has no parameter values at which it equals the one it should replace."""


class FactoryError(AdaptiveActError):
    """The code that builds a model is missing, is not marked as a factory, or failed."""


class CheckpointError(AdaptiveActError):
    """The file is not a checkpoint that this version can read."""
