"""What a file is, from its first bytes and its table of contents; nothing in it is run or unpickled."""

import re
import zipfile
from pathlib import Path

from convert.errors import SourceError

EXPECTED = "expected a checkpoint written by `adaptive_act.save`, or a state_dict together with `--factory`"

_SAVE = "in Python, load it where it comes from and save it with `adaptive_act.save`, or its state_dict()"
# Field 1 (ir_version, a small number), then the producer, its version, the graph or the opsets.
_ONNX = re.compile(rb"\x08[\x01-\x1f][\x12\x1a\x3a\x42]")
_MARKS: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF", "an HDF5 (Keras) file"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89PNG", "a PNG picture"),
)


def require_torch_file(path: Path) -> None:
    """Raises SourceError, saying what the file is and what to do, unless `torch.save` may have written it."""
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
    except OSError as error:
        raise SourceError(f"cannot read `{path}`: {error.strerror or error}") from error
    if not head:
        raise SourceError(f"`{path}` is empty; {EXPECTED}")
    found = _zip_kind(path) if head.startswith(b"PK") else _plain_kind(head, path)
    if found is not None:
        what, todo = found
        raise SourceError(f"`{path}` is {what}; {EXPECTED}", hint=todo)


def _plain_kind(head: bytes, path: Path) -> tuple[str, str] | None:
    if head.startswith(b"\x80"):
        return None  # a pickle: the reader of checkpoints decides whether it is a state_dict
    for mark, what in _MARKS:
        if head.startswith(mark):
            return what, _SAVE
    if head[8:10] == b'{"' or head[8:9] == b"{":
        return "a safetensors file", "load it with safetensors.torch.load_file and torch.save the result"
    if path.suffix == ".onnx" or _ONNX.match(head):
        return "an ONNX model already", "convert the PyTorch model that it was exported from"
    return "not a file that `torch.save` writes", _SAVE


def _zip_kind(path: Path) -> tuple[str, str] | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] or name for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise SourceError(
            f"`{path}` is truncated or damaged; {EXPECTED}", hint="copy or save it again"
        ) from error
    if any(name == "constants.pkl" or name.startswith("code/") for name in names):
        return "a TorchScript archive", f"TorchScript holds code, not an architecture; {_SAVE}"
    if any("exported_program" in name or name.startswith(("models/", "data/aotinductor")) for name in names):
        return "a torch.export archive (.pt2)", f"export takes the module itself; {_SAVE}"
    if "data.pkl" not in names:
        return "a zip archive that `torch.save` did not write", _SAVE
    return None
