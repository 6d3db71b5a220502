"""The kind of a file, by its first bytes and its table of contents; nothing is run or unpickled."""

import re
import zipfile
from enum import Enum
from pathlib import Path

from adaptive_act.libraries.library_model import suggest_library
from convert.errors import SourceError

EXPECTED = (
    "expected a checkpoint written by `adaptive_act.save`, a state_dict or safetensors file together with "
    "`--factory`, a `.pt2`, a TorchScript file, or an `.onnx`"
)

_SAVE = "in Python, load it where it comes from and save it with `adaptive_act.save`, or its state_dict()"
_COPY_AGAIN = "copy or save it again"


class Container(Enum):
    """How a file is packed; each kind has its reader."""

    TORCH = "an archive of torch.save"
    PICKLE = "a bare pickle"
    TORCHSCRIPT = "a TorchScript archive"
    PROGRAM = "a torch.export archive (.pt2)"
    ONNX = "an ONNX model"
    SAFETENSORS = "a safetensors file"


# Field 1 (ir_version, a small number), then another of ModelProto's fields, 2 to 8.
_ONNX = re.compile(rb"\x08[\x01-\x1f][\x12\x1a\x22\x28\x32\x3a\x42]")
# The length of the header, in eight bytes that may begin as other kinds do, and the header, which is JSON.
_SAFETENSORS = re.compile(rb".{4}\0{4}\{[\s\"}]", re.DOTALL)
_MARKS: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF", "an HDF5 (Keras) file"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89PNG", "a PNG picture"),
)


def recognise(path: Path) -> Container:
    """How the file is packed. Raises SourceError, with its kind and a remedy, where nothing here reads it."""
    head = _read_head(path)
    if path.suffix == ".safetensors" or _SAFETENSORS.match(head):
        return Container.SAFETENSORS
    if head.startswith(b"PK"):
        return _recognise_zip(path)
    if head.startswith(b"\x80"):
        return Container.PICKLE
    if path.suffix == ".onnx" or _ONNX.match(head):
        return Container.ONNX
    kinds = (kind for mark, kind in _MARKS if head.startswith(mark))
    kind = next(kinds, "not a file that `torch.save` writes")
    raise SourceError(f"`{path}` is {kind}; {EXPECTED}", hint=_SAVE)


def _read_head(path: Path) -> bytes:
    """The first bytes of the file. Raises SourceError where there is none, or it is empty."""
    try:
        # A pipe or a device would have no end, or none to begin with.
        if path.exists() and not path.is_file():
            raise SourceError(
                f"cannot read `{path}`: it is a folder, a pipe or a device; {EXPECTED}", hint="name a file"
            )
        with path.open("rb") as stream:
            head = stream.read(64)
    except OSError as error:
        raise SourceError(
            f"cannot read `{path}`: {error.strerror or error}; {EXPECTED}",
            hint=suggest_library(str(path)) or "name a file that is there and that you may read",
        ) from error
    if not head:
        raise SourceError(f"`{path}` is empty; {EXPECTED}")
    return head


def _recognise_zip(path: Path) -> Container:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] or name for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise SourceError(f"`{path}` is truncated or damaged; {EXPECTED}", hint=_COPY_AGAIN) from error
    if any("exported_program" in name or name.startswith(("models/", "data/aotinductor")) for name in names):
        return Container.PROGRAM
    if any(name == "constants.pkl" or name.startswith("code/") for name in names):
        return Container.TORCHSCRIPT
    if "data.pkl" in names:
        return Container.TORCH
    raise SourceError(f"`{path}` is a zip archive that `torch.save` did not write; {EXPECTED}", hint=_SAVE)
