"""The policies that files have to meet before they replace others."""

from pathlib import Path

from convert.errors import ConversionError
from convert.manifest.wire import read_metadata
from serve.engine.errors import ModelRefusedError
from serve.engine.model_files import open_files
from serve.engine.options import Policies
from serve.engine.repository import MODEL_FILE, ModelFile
from serve.sources.errors import PartRefusedError
from serve.sources.options import SourceOptions
from serve.sources.parts import Part


def check_policies(part: Part, folder: Path, options: SourceOptions) -> None:
    """Raise `PartRefusedError` for a version in this folder that the engine would refuse to serve."""
    policies = Policies(options.require_parity, options.require_strong_parity, options.require_signature)
    entry = ModelFile(part.model, part.version, folder / MODEL_FILE)
    try:
        with open_files(entry, options.limit_bytes, is_private=True) as files:
            policies.check_signature(files)
            policies.check_evidence(files, read_metadata(bytes(files.content)))
    except (ModelRefusedError, ConversionError) as error:
        raise PartRefusedError(str(error)) from error
