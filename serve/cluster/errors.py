"""What prevents a cluster from being served, told to the operator."""

from serve.engine.errors import StartupError


class ClusterError(StartupError):
    """The cluster, its proxy, or what the replicas need."""


class ControllerRunsError(ClusterError):
    """Another command keeps this cluster already."""


class NoControllerError(ClusterError):
    """No command keeps this cluster."""
