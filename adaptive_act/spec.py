"""What a model takes: the name, dtype and shape of each input."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input: its name, its dtype, and its shape with None where the size is free."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name):
            raise ValueError(f"an input needs a name, got `{self.name}`")
        if self.dtype not in DTYPES:
            raise ValueError(f"input `{self.name}`: expected a dtype of {DTYPES}, got `{self.dtype}`")
        if not all(size is None or (type(size) is int and size > 0) for size in self.shape):
            raise ValueError(f"input `{self.name}`: expected positive sizes or None, got {list(self.shape)}")

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """The spec of a mapping with the keys name, dtype and shape; raises ValueError for anything else."""
        if not isinstance(fields, Mapping) or set(fields) != {"name", "dtype", "shape"}:
            raise ValueError(f"expected an input with the keys name, dtype and shape, got `{fields}`")
        if not isinstance(fields["shape"], list | tuple):
            raise ValueError(f"input `{fields['name']}`: expected a list as shape, got `{fields['shape']}`")
        return cls(fields["name"], fields["dtype"], tuple(fields["shape"]))
