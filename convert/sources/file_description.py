"""What an ONNX file says of itself besides its graph: its description, and its manifest."""

from collections.abc import Mapping

from convert.manifest.decode import ManifestError
from convert.manifest.description import Description, parse_description
from convert.manifest.entries import DESCRIPTION_KEY
from convert.manifest.manifest import Manifest
from convert.manifest.preprocessing import decode_preprocessing


def read_description(metadata: Mapping[str, str], manifest: Manifest | None) -> Description:
    """The file's description, and of its manifest what that leaves out; what cannot be read is left out."""
    own = _read_entry(metadata.get(DESCRIPTION_KEY))
    return own if manifest is None else own.over(_read_manifest(manifest))


def _read_entry(text: str | None) -> Description:
    try:
        return Description() if text is None else parse_description(text)
    except ManifestError:
        return Description()


def _read_manifest(manifest: Manifest) -> Description:
    try:
        preprocessing = (
            None if manifest.preprocessing is None else decode_preprocessing(manifest.preprocessing)
        )
    except ManifestError:  # the user's own words, which no server follows
        preprocessing = None
    return Description(manifest.classes, preprocessing=preprocessing)
