"""The settings as options of the engine, of access control and of TLS."""

from pathlib import Path

from serve.access.control import AccessControl, open_access_control
from serve.access.limits import ClientLimits
from serve.access.proxies import parse_proxies
from serve.access.tls import Tls, open_tls
from serve.drift.options import DriftOptions
from serve.engine.config import ModelConfig
from serve.engine.errors import StateError
from serve.engine.memory.amounts import parse_size
from serve.engine.memory.options import MemoryOptions
from serve.engine.options import EngineOptions, Policies
from serve.engine.providers import CudaOptions
from serve.engine.weights.options import PROVIDERS, WAIT_SECONDS, WeightsOptions
from serve.rollout.options import RolloutOptions
from serve.settings import MEBIBYTE, Settings
from serve.sources.options import SourceOptions

SOURCE_POLL_SECONDS = 2.0


def make_engine_options(settings: Settings) -> EngineOptions:
    """The engine's options."""
    return EngineOptions(
        folder=settings.models,
        provider=settings.provider,
        provider_seconds=settings.provider_seconds,
        threads=settings.run_threads,
        concurrency=settings.run_concurrency,
        model_limit_bytes=settings.model_limit_mib * MEBIBYTE,
        # What comes from a source is served without being asked for.
        poll_seconds=settings.poll_seconds or (SOURCE_POLL_SECONDS if settings.source else 0.0),
        may_start_empty=settings.start_empty,
        defaults=ModelConfig(
            versions=settings.versions,
            batching=settings.batching,
            batch_rows=settings.batch_rows,
            request_rows=settings.request_rows,
            queue_length=settings.queue_length,
            queue_seconds=settings.queue_seconds,
            queue_target_seconds=settings.queue_target_seconds,
            run_seconds=settings.run_seconds,
        ),
        policies=Policies(
            require_parity=settings.require_parity,
            require_strong_parity=settings.require_strong_parity,
            require_signature=settings.require_signature,
        ),
        cuda=CudaOptions(
            device=settings.cuda_device,
            memory_limit_bytes=settings.cuda_memory_limit_mib * MEBIBYTE,
            tf32=settings.cuda_tf32,
            graph_rows=tuple(int(rows) for rows in settings.cuda_graph_rows.split(",") if rows),
        ),
        state_folder=settings.state,
        digests=bool(settings.experiments_store or (settings.drift and settings.state)),
        triton_names=settings.triton_metrics,
        drain_seconds=settings.drain_seconds,
        load_seconds=settings.load_seconds,
        weights=(weights := make_weights_options(settings)),
        memory=make_memory_options(settings, weights),
    )


def make_weights_options(settings: Settings) -> WeightsOptions | None:
    """Where weights are shared; None where each process has its own."""
    if settings.weights_cache in ("auto", "off"):
        return None
    folder, limit = Path(settings.weights_cache), settings.weights_cache_mib * MEBIBYTE
    return WeightsOptions(folder, limit, min(WAIT_SECONDS, settings.load_seconds / 2))


def make_memory_options(settings: Settings, weights: WeightsOptions | None) -> MemoryOptions | None:
    """What all models may take; None for no limit."""
    if not settings.model_memory:
        return None
    least = weights.least_bytes if weights is not None and settings.provider in PROVIDERS else None
    return MemoryOptions(parse_size(settings.model_memory), max(1, settings.workers), least)


def make_source_options(settings: Settings) -> SourceOptions | None:
    """What the models folder is a copy of; None where it is its own."""
    if not settings.source:
        return None
    return SourceOptions(
        url=settings.source,
        folder=settings.models,
        interval_seconds=settings.source_seconds,
        removal=settings.source_removal,
        require_digests=settings.source_digests,
        limit_bytes=settings.model_limit_mib * MEBIBYTE,
        latest=ModelConfig(versions=settings.versions).latest,
        require_parity=settings.require_parity,
        require_strong_parity=settings.require_strong_parity,
        require_signature=settings.require_signature,
        log_level=settings.log_level,
    )


def make_access_control(settings: Settings, limits: ClientLimits | None = None) -> AccessControl:
    """Access control; raises `StartupError`. Without `limits` this process counts alone."""
    return open_access_control(
        settings.keys,
        settings.client_requests_per_second,
        settings.audit_log,
        limits,
        settings.local_admin,
        parse_proxies(settings.proxies),
    )


def make_rollout_options(settings: Settings) -> RolloutOptions | None:
    """Where experiments and their data are stored; None where there are none. Raises `StateError`."""
    where = settings.experiments_store
    if not where:
        if settings.experiments is not None:
            raise StateError("`--experiments` needs `--experiments-store`, where their data are stored")
        return None
    keys = settings.state if "://" in where else Path(where)
    if keys is None:
        raise StateError("`--experiments-store` with a URL needs `--state`, for the key of the units")
    return RolloutOptions(where, keys, settings.experiments, settings.experiments_retention_days)


def make_drift_options(settings: Settings) -> DriftOptions | None:
    """How drift is watched; None where it is not. Raises `StateError`."""
    if not settings.drift:
        return None
    if settings.drift_first_rows and settings.state is None:
        raise StateError("`--drift-first-rows` needs `--state`, where baselines are stored")
    return DriftOptions(
        60.0 * settings.drift_minutes,
        settings.drift_rate,
        settings.drift_first_rows,
        settings.state,
        settings.drift_layers_mib * MEBIBYTE,
    )


def make_tls(settings: Settings) -> Tls | None:
    """TLS, None without a certificate; raises `TlsError`."""
    return open_tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
