"""The errors of sources.

StartupError
└── SourceError          the source cannot be used, or what it says cannot be
    └── PartRefusedError one version of it is not taken
"""

from serve.engine.errors import StartupError


class SourceError(StartupError):
    """A source that is wrongly named, does not answer, or answers what cannot be."""


class PartRefusedError(SourceError):
    """Files that are not taken, since they are not what they should be."""
