"""The request to load a file, and the loaded model, for every kind of file."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx_ir as ir
from torch import nn

from convert.model_io.inputs import InputSpec


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """A file to load, and the user's options for it."""

    path: Path
    factory: str | None = None
    factory_kwargs: Mapping[str, Any] | None = None
    inputs: Sequence[InputSpec] = ()
    allow_pickle: bool = False
    state_key: str | None = None
    weights: Path | None = None
    """Of a model of a library; then `path` is its name, as `timm:resnet50`."""
    random_weights: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A model in evaluation mode, with its description by the file and the user."""

    model: nn.Module
    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...] | None
    classes: tuple[str, ...] | None
    preprocessing: Mapping[str, Any] | None
    digest: str
    """SHA-256 of the file, in hexadecimal; of an ONNX file with external data, of all its files."""
    kind: str = field(kw_only=True)
    """The kind of file, as the manifest names it."""
    graph: ir.Model | None = field(default=None, kw_only=True)
    """The ONNX graph, where the file holds one."""
    reference: str = field(default="float64", kw_only=True)
    """The precision of the model that parity is judged against."""
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    """What was taken off the file's content as it was loaded, or left as it is, in words."""
    tokenizer: str | None = field(default=None, kw_only=True)
    """The content of a `tokenizer.json`, where the model is one of texts that has one."""


def compute_digest(*paths: Path) -> str:
    """SHA-256 of the files' bytes, one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()
