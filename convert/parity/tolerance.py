"""Tolerances: errors that the user allows an output beyond the criterion, as shares of its scale."""

from collections.abc import Mapping, Sequence

from convert.errors import UsageError


def parse_tolerance(text: str) -> tuple[str, float]:
    """The output and the share in `logits=1e-3`. Raises UsageError for another form."""
    output, separator, share = text.rpartition("=")
    try:
        return output, float(share) if separator else float("nan")
    except ValueError as error:
        raise UsageError(f"`--tolerance {text}` cannot be read, expected OUTPUT=SHARE") from error


def require_shares(tolerances: Mapping[str, float]) -> None:
    """Raises UsageError unless every tolerance is a share, above 0 to 1."""
    for name, share in tolerances.items():
        if not 0 < share <= 1:
            raise UsageError(
                f"tolerance for `{name}` is {share:g}, expected a share of its scale, above 0 to 1"
            )


def require_known(tolerances: Mapping[str, float], outputs: Sequence[str]) -> None:
    """Raises UsageError where a tolerance names no output."""
    unknown = next((name for name in tolerances if name not in outputs), None)
    if unknown is not None:
        raise UsageError(f"tolerance for `{unknown}`: the model's outputs are {list(outputs)}")
