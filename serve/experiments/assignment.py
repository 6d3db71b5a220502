"""Which variant a unit gets: a pure function of names and the unit, so every worker and machine agree.

`h(salt, unit)` is the first 8 bytes of SHA-256("salt:unit") as a whole number of 64 bits. A unit is enrolled
if its hash under the enrolment's salt lies in the experiment's range; its hash under a second, independent
salt chooses the variant, in equal shares. So a wider step enrols further units and moves none, and the shares
among the enrolled stay equal. Whole numbers only, since a hash divided by 2**64 can round up to 1.
"""

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from serve.experiments.definition import Experiment
from serve.experiments.units import Unit, encode_value

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

HASHES = 2**64


class Assignment(NamedTuple):
    """What a unit gets."""

    variant: str
    """The variant's name; the control's for a unit that is not enrolled."""
    is_enrolled: bool
    """Whether the unit takes part in the comparison."""
    is_forced: bool
    """Whether the allow-list names the unit; it then takes no part in the comparison."""


class Assigner:
    """The assignment of units by an experiment at one step of its ramp."""

    def __init__(self, experiment: Experiment, step_percent: float) -> None:
        exclusion = experiment.exclusion
        kind, owner = ("group", exclusion.group) if exclusion else ("experiment", experiment.name)
        start = exclusion.from_percent if exclusion else 0.0
        end = exclusion.to_percent if exclusion else 100.0
        self._enrolment = _begin_hash(f"enrolment/{kind}/{owner}")
        self._variant = _begin_hash(f"variant/{experiment.name}")
        self._start = count_hashes(start)
        # Rounded, so that the range ends where the next one of the group begins: 0.1 + 0.2 is more than 0.3.
        self._end = count_hashes(min(end, round(start + step_percent, 9)))
        self._enrols_all = self._end - self._start == HASHES
        self._allow_list = experiment.allow_list
        self._names = [variant.name for variant in experiment.variants]

    def assign(self, value: str) -> Assignment:
        """The assignment of the unit with this value."""
        allowed = self._allow_list.get(value)
        if allowed is not None:
            return Assignment(allowed, is_enrolled=False, is_forced=True)
        name = self.enrol(value)
        if name is None:
            return Assignment(self._names[0], is_enrolled=False, is_forced=False)
        return Assignment(name, is_enrolled=True, is_forced=False)

    def enrol(self, value: str) -> str | None:
        """The variant of a unit that the allow-list does not name; None where it is not enrolled."""
        text = encode_value(value)
        if not self._enrols_all and not self._start <= _hash(self._enrolment, text) < self._end:
            return None
        return self._names[_hash(self._variant, text) * len(self._names) // HASHES]


def assign(experiment: Experiment, step_percent: float, unit: Unit | str) -> Assignment:
    """The assignment of the unit when `step_percent` of all units are enrolled."""
    value = unit if isinstance(unit, str) else unit.value
    return Assigner(experiment, step_percent).assign(value)


def hash_value(salt: str, value: str) -> int:
    """The value's hash under the salt, from 0 to 2**64 - 1."""
    return _hash(_begin_hash(salt), encode_value(value))


def count_hashes(percent: float) -> int:
    """How many of the 2**64 hashes are that many per cent."""
    return int(percent * HASHES / 100)


def _begin_hash(salt: str) -> "Hash":
    return sha256(f"{salt}:".encode())


def _hash(begun: "Hash", text: bytes) -> int:
    # A copy takes a quarter less than to begin anew.
    whole = begun.copy()
    whole.update(text)
    return int.from_bytes(whole.digest()[:8], "big")
