"""Exposures and inferences as packed bytes, and as the rows that they become."""

import itertools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

MAX_REQUEST_ID = 200
"""Characters; an inference with a longer id, or with one that is not printable, is not stored."""

MAX_PAYLOAD = 1 << 20
"""Bytes of a request's inputs and outputs together; larger ones are not logged."""
MAX_BATCH = 2000
"""Rows of one transaction, so that a backlog neither holds up other writers for long nor fills the memory."""

MAX_KNOWN = 50_000
"""Units that are remembered, in about 100 bytes each, so as not to be written again."""

_EXPOSURE = struct.Struct("<qI16s")  # time, arm, unit
_AT_AND_WHO, _WHO = struct.Struct("<q20s"), struct.Struct("<I16s")  # the same in two parts
_INFERENCE = struct.Struct("<qI16sQHBqdH")  # ..., latency, status, flags, top1, confidence, bytes of the id
_SAMPLE = struct.Struct("<qIHII")  # time, arm, bytes of the id, of inputs, of outputs
_LARGEST_CONFIDENCE = 1e15  # neither this nor NaN is one; the greatest outcome is the same
_HAS_NAN, _IS_SHADOW, _HAS_TOP1, _HAS_CONFIDENCE = 1, 2, 4, 8

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Arm:
    """What the records of one variant in one phase have in common."""

    experiment: str
    comparison: int
    phase: int
    variant: str
    unit_kind: str
    model: str
    version: str
    digest: bytes = b""
    """Of the model's file."""


class Inference(NamedTuple):
    """One answer of one variant; `request_id` is what feedback names it by."""

    request_id: str
    at: int
    """Microseconds since 1970."""
    latency_us: int
    status: int = 0
    """0 where it was answered, else the number of its error, at most 65535."""
    has_nan: bool = False
    is_shadow: bool = False
    top1: int | None = None
    """The most probable class."""
    confidence: float | None = None
    """Its probability, or the score of a model without classes."""


pack_exposure = _EXPOSURE.pack
"""28 bytes of an exposure: its time, the arm's handle, the unit."""


def pack_inference(handle: int, unit: bytes, inference: Inference) -> bytes:
    """62 bytes and the request id. Raises ValueError or struct.error where a value cannot be stored."""
    request_id, at, latency, status, has_nan, is_shadow, top1, confidence = inference
    flags = has_nan | is_shadow << 1 | (top1 is not None) << 2 | (confidence is not None) << 3
    text = _encode_id(request_id)
    return (
        _INFERENCE.pack(at, handle, unit, latency, status, flags, top1 or 0, confidence or 0.0, len(text))
        + text
    )


def pack_sample(handle: int, request_id: str, at: int, inputs: bytes, outputs: bytes) -> bytes:
    """22 bytes, the request id and the payload. Raises ValueError or struct.error if it cannot be stored."""
    if len(inputs) + len(outputs) > MAX_PAYLOAD:
        raise ValueError("too large")
    text = _encode_id(request_id)
    return b"".join((_SAMPLE.pack(at, handle, len(text), len(inputs), len(outputs)), text, inputs, outputs))


def _encode_id(request_id: str) -> bytes:
    if len(request_id) > MAX_REQUEST_ID or not request_id.isprintable():
        raise ValueError("not printable, or too long")
    return request_id.encode()


def read_exposures(
    records: memoryview, arms: Sequence[Arm], known: set[bytes]
) -> Iterator[tuple[list[Row], int]]:
    """Batches of one row for each unit of a comparison, each with how many records it is made of.

    Units that met an arm before are in `known`, which takes up those that are new: most exposures are of
    those, and are passed over.
    """
    step = MAX_BATCH * _EXPOSURE.size
    for start in range(0, len(records), step):
        batch = records[start : start + step]
        yield _join_exposures(batch, arms, known), len(batch) // _EXPOSURE.size


def read_inferences(records: memoryview, arms: Sequence[Arm]) -> Iterator[tuple[list[Row], int]]:
    """Batches of one row for each record, each with how many there are."""
    rows = _each_inference(records, arms)
    while batch := list(itertools.islice(rows, MAX_BATCH)):
        # In this order transactions do not lock each other out.
        batch.sort(key=lambda row: (row["request_id"], row["experiment"], row["variant"]))
        yield batch, len(batch)


def read_samples(records: memoryview, arms: Sequence[Arm]) -> Iterator[tuple[list[Row], int]]:
    """Batches of one row: they are large."""
    place = 0
    while place < len(records):
        at, handle, *lengths = _SAMPLE.unpack_from(records, place)
        place += _SAMPLE.size
        parts = []
        for length in lengths:
            parts.append(bytes(records[place : place + length]))
            place += length
        arm = arms[handle]
        names = {"request_id": parts[0].decode(), "experiment": arm.experiment, "variant": arm.variant}
        yield [{**names, "at": at, "inputs": parts[1], "outputs": parts[2]}], 1


def _join_exposures(records: memoryview, arms: Sequence[Arm], known: set[bytes]) -> list[Row]:
    if len(known) > MAX_KNOWN:
        known.clear()
    rows: dict[tuple[str, int, bytes], Row] = {}
    for at, who in _AT_AND_WHO.iter_unpack(records):
        if who in known:
            continue
        known.add(who)
        handle, unit = _WHO.unpack(who)
        arm = arms[handle]
        row = rows.setdefault((arm.experiment, arm.comparison, unit), _first_exposure(arm, unit, at))
        row["switches"] += row["variant"] != arm.variant
        row["first_at"] = min(row["first_at"], at)
    return [rows[key] for key in sorted(rows)]  # the order in which transactions do not lock each other out


def _each_inference(records: memoryview, arms: Sequence[Arm]) -> Iterator[Row]:
    place = 0
    while place < len(records):
        values = _INFERENCE.unpack_from(records, place)
        end = place + _INFERENCE.size + values[-1]
        yield _inference_row(arms[values[1]], str(records[place + _INFERENCE.size : end], "utf-8"), values)
        place = end


def _first_exposure(arm: Arm, unit: bytes, at: int) -> Row:
    return {
        "experiment": arm.experiment,
        "comparison": arm.comparison,
        "unit": unit,
        "unit_kind": arm.unit_kind,
        "variant": arm.variant,
        "first_at": at,
        "switches": 0,
    }


def _inference_row(arm: Arm, request_id: str, values: tuple[Any, ...]) -> Row:
    at, _, unit, latency, status, flags, top1, confidence, _ = values
    is_number = flags & _HAS_CONFIDENCE and abs(confidence) <= _LARGEST_CONFIDENCE
    return {
        "request_id": request_id,
        "experiment": arm.experiment,
        "variant": arm.variant,
        "comparison": arm.comparison,
        "phase": arm.phase,
        "unit": unit,
        "at": at,
        "model": arm.model,
        "version": arm.version,
        "digest": arm.digest,
        "latency_us": latency,
        "status": status,
        "has_nan": int(bool(flags & _HAS_NAN)),
        "is_shadow": int(bool(flags & _IS_SHADOW)),
        "top1": top1 if flags & _HAS_TOP1 else None,
        "confidence": confidence if is_number else None,
    }
