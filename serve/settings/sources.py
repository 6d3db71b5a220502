"""Settings: Source of models."""

from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from serve.settings.topic import Topic
from serve.sources.address import check_address
from serve.sources.options import Removal


class SourceSettings(Topic):
    """Where the models folder is filled from."""

    panel: ClassVar[str] = "Source of models"

    source: Annotated[
        str,
        Field(
            description="Address that the models folder is a copy of: s3://bucket/prefix, "
            "oci://registry/name:tag or models:/name@alias; empty: it is its own."
        ),
    ] = ""
    source_seconds: Annotated[
        float, Field(ge=1, le=86_400, description="Seconds between looks at the source for changes.")
    ] = 60.0
    source_removal: Annotated[
        Removal,
        Field(
            description="What goes once it is gone from the source: versions (while their model has others), "
            "all (models too), or nothing."
        ),
    ] = "versions"
    source_digests: Annotated[
        bool, Field(description="Take only files from the source whose SHA-256 it says.")
    ] = False

    @field_validator("source")
    @classmethod
    def _require_address(cls, text: str) -> str:
        if text:
            check_address(text)
        return text
