"""The command `adaptact` and the one console of all its commands.

It imports none of `adaptive_act`, `convert` and `serve` until a sub-command needs one.
"""

__version__ = "0.1.0"
