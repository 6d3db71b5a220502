"""The source of an address; each kind loads only what it needs."""

from adaptact.installation import install_line
from serve.sources.errors import SourceError
from serve.sources.source import Source


def open_source(address: str, latest: int | None = None) -> Source:
    """The source, which is not asked yet; raises `SourceError` for what cannot be one.

    `latest` is how many of a model's highest versions are wanted, where the source can be asked for them.
    """
    try:
        if address.startswith("s3://"):
            from serve.sources.s3 import S3Source  # noqa: PLC0415

            return S3Source(address)
        if address.startswith("oci://"):
            from serve.sources.oci import OciSource  # noqa: PLC0415

            return OciSource(address)
        from serve.sources.mlflow import MlflowSource  # noqa: PLC0415
    except ImportError as error:
        kind = address.partition(":")[0]
        raise SourceError(
            f"models from `{kind}` need `{error.name}`, which is not installed: {install_line('sources')}"
        ) from error
    return MlflowSource(address, latest)
