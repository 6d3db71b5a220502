"""Every setting of the server: what it means, its default, and where it is read from."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from adaptact.providers.catalogue import ProviderChoice
from adaptact.suggestions import find_misspelt
from serve.access.proxies import parse_proxies
from serve.engine.config import (
    Batching,
    BatchRows,
    ModelConfig,
    QueueLength,
    QueueSeconds,
    RequestRows,
    RunSeconds,
    Versions,
)
from serve.engine.cores import available_cores

MEBIBYTE = 2**20
PREFIX = "ADAPTACT_"
FILE = "adaptact.toml"
MODEL = ModelConfig()  # the defaults of one without a `config.toml`


class Settings(BaseSettings):
    """The settings: from arguments, else environment variables, else `adaptact.toml`, else defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, toml_file=FILE, extra="forbid", frozen=True
    )

    models: Annotated[Path, Field(description="Folder of models.")]
    host: Annotated[str, Field(description="Address to listen on; 0.0.0.0 for all networks.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 picks a free one.")] = 8000
    grpc_port: Annotated[int, Field(ge=0, le=65535, description="Port for gRPC; 0 disables gRPC.")] = 0
    console: Annotated[bool, Field(description="Serve the console, pages for people, at /console.")] = True
    workers: Annotated[
        int,
        Field(
            ge=0,
            le=256,
            description="Processes that answer; each loads every model. 0 chooses one per core, at most 4, "
            "and only one for CUDA or for models of more than 64 MiB.",
        ),
    ] = 0
    stop_grace_seconds: Annotated[
        int, Field(ge=0, description="Seconds that a shutdown waits for running requests.")
    ] = 30
    stop_linger_seconds: Annotated[
        float, Field(ge=0, le=3600, description="Seconds of a shutdown in which requests are still taken.")
    ] = 2.0
    provider: Annotated[
        ProviderChoice, Field(description="What runs the models, without fallback; auto: the fastest.")
    ] = "cpu"
    provider_seconds: Annotated[
        float, Field(ge=0.05, le=60, description="With --provider auto: seconds of timing for each model.")
    ] = 1.0
    threads: Annotated[
        int,
        Field(
            ge=0, le=1024, description="Cores that one run may use; 0 chooses half of the cores, at most 4."
        ),
    ] = 0
    concurrency: Annotated[
        int,
        Field(ge=0, le=1024, description="Long runs at the same time; 0 chooses cores divided by threads."),
    ] = 0
    model_limit_mib: Annotated[int, Field(ge=1, description="Maximum size of a model file, in MiB.")] = 2048
    poll_seconds: Annotated[
        float,
        Field(
            ge=0, le=86_400, description="Seconds between checks of the folder for changes; 0 disables them."
        ),
    ] = 0.0
    start_empty: Annotated[bool, Field(description="Start even if no model can be served yet.")] = False
    versions: Annotated[
        Versions, Field(description="Versions to serve of each model: all, or latest:n for the n highest.")
    ] = MODEL.versions
    batching: Annotated[
        Batching,
        Field(description="Join waiting requests: auto (if measured to pay), on (always) or off (never)."),
    ] = MODEL.batching
    batch_rows: Annotated[BatchRows, Field(description="Maximum rows of all joined requests together.")] = (
        MODEL.batch_rows
    )
    request_rows: Annotated[
        RequestRows, Field(description="Maximum rows of one request; 0 for no limit.")
    ] = MODEL.request_rows
    queue_length: Annotated[QueueLength, Field(description="Maximum requests that wait for one model.")] = (
        MODEL.queue_length
    )
    queue_seconds: Annotated[
        QueueSeconds,
        Field(description="Maximum seconds that a request waits; the request may set a shorter limit."),
    ] = MODEL.queue_seconds
    queue_target_seconds: Annotated[
        QueueSeconds, Field(description="Seconds of waiting from which on further requests are refused.")
    ] = MODEL.queue_target_seconds
    run_seconds: Annotated[
        RunSeconds,
        Field(description="Maximum seconds of a run, which is then ended; its requests get an error."),
    ] = MODEL.run_seconds
    load_seconds: Annotated[
        float,
        Field(ge=0.1, le=86_400, description="Maximum seconds of loading a version, which is then refused."),
    ] = 300.0
    require_parity: Annotated[
        bool, Field(description="Serve only files whose manifest records that parity passed.")
    ] = False
    require_strong_parity: Annotated[
        bool, Field(description="Serve only files whose manifest records that parity passed and is strong.")
    ] = False
    require_signature: Annotated[
        Path | None, Field(description="PEM file of a public key; serve only files signed for it.")
    ] = None
    state: Annotated[
        Path | None, Field(description="Folder for aliases and drift; without it a restart loses them.")
    ] = None
    experiments: Annotated[Path | None, Field(description="YAML file of experiments to define.")] = None
    experiments_store: Annotated[
        str, Field(description="Folder or PostgreSQL URL that stores experiments; without it there are none.")
    ] = ""
    experiments_retention_days: Annotated[
        float, Field(ge=1, le=36_500, description="Days that outcomes and ended experiments are kept.")
    ] = 365.0
    drain_seconds: Annotated[
        float,
        Field(ge=0, le=86_400, description="Seconds that a replaced version has to finish its requests."),
    ] = 30.0
    cuda_device: Annotated[int, Field(ge=0, le=1024, description="Index of the GPU.")] = 0
    cuda_memory_limit_mib: Annotated[
        int, Field(ge=0, description="Maximum GPU memory of each version, in MiB; 0 for no limit.")
    ] = 0
    cuda_tf32: Annotated[
        bool, Field(description="Let the GPU multiply in TF32, with 10 bits of mantissa.")
    ] = False
    cuda_graph_rows: Annotated[
        str,
        Field(
            pattern=r"^([1-9][0-9]{0,4}(,[1-9][0-9]{0,4}){0,15})?$",
            description="Batch sizes to record as CUDA graphs, such as 1,8,32.",
        ),
    ] = ""
    triton_metrics: Annotated[
        bool, Field(description="Also export the metrics under Triton's names, `nv_inference_*`.")
    ] = False
    drift: Annotated[bool, Field(description="Compare live values with those at a model's export.")] = True
    drift_minutes: Annotated[float, Field(ge=1, le=10_080, description="Minutes that values count.")] = 60.0
    drift_first_rows: Annotated[
        int, Field(ge=0, le=10_000, description="First rows to compare with where a file has no baseline.")
    ] = 0
    drift_rate: Annotated[
        float, Field(ge=0.1, le=1000, description="Requests of a model compared each second, in a worker.")
    ] = 10.0
    drift_layers_mib: Annotated[int, Field(ge=0, description="Largest model loaded twice, for layers.")] = 64
    access_log: Annotated[
        Path | None, Field(description="File for one line of JSON per request; - for standard output.")
    ] = None
    otlp_endpoint: Annotated[
        str,
        Field(
            pattern=r"^(https?://[^\s/]+(/[^\s]*)?)?$",
            description="URL of an OpenTelemetry collector (OTLP over HTTP) for one span per request.",
        ),
    ] = ""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="Lowest level of the messages to log."),
    ] = "info"
    keys: Annotated[
        Path | None,
        Field(description="File of API keys, made with adaptact key; without it no key is required."),
    ] = None
    local_admin: Annotated[
        bool,
        Field(description="Let callers on the server's own machine administer without a key despite --keys."),
    ] = False
    proxies: Annotated[
        str,
        Field(
            description="Addresses of proxies whose X-Forwarded-For names the client, such as 10.0.0.0/8,::1."
        ),
    ] = ""
    allowed_hosts: Annotated[
        str,
        Field(
            pattern=r"^(\s*(\*\.)?[A-Za-z0-9._-]+\s*(,|$))*$",
            description="Names that clients may address, such as models.example,*.plant.example; empty: all.",
        ),
    ] = ""
    client_requests_per_second: Annotated[
        float,
        Field(ge=0, le=1e6, description="Maximum requests per second of one key or address; 0 for no limit."),
    ] = 0.0
    audit_log: Annotated[
        Path | None,
        Field(description="File for administrators' actions; without it they go to the server's log."),
    ] = None
    tls_certificate: Annotated[
        Path | None,
        Field(description="PEM file of the server's certificate; the server then accepts only HTTPS."),
    ] = None
    tls_key: Annotated[Path | None, Field(description="PEM file of the certificate's private key.")] = None
    tls_client_ca: Annotated[
        Path | None, Field(description="PEM file of the CA that must have issued every client's certificate.")
    ] = None
    body_limit_mib: Annotated[
        int, Field(ge=1, le=2048, description="Maximum size of a request's body, in MiB.")
    ] = 64
    connections: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Maximum open connections of all workers together; further ones get 503.",
        ),
    ] = 1000
    stall_seconds: Annotated[
        float,
        Field(
            ge=0.1,
            le=3600,
            description="Maximum seconds for a request's head, and between parts of its body.",
        ),
    ] = 20.0
    shared_memory: Annotated[
        str,
        Field(
            pattern=r"^(\s*(\*|[A-Za-z0-9_][A-Za-z0-9._-]*)\s*(,|$))*$",
            description="Beginnings of the names of shared memory objects that clients may use for tensors, "
            "such as in_,out_, or * for any; empty: none.",
        ),
    ] = ""

    @field_validator("proxies")
    @classmethod
    def _require_networks(cls, text: str) -> str:
        parse_proxies(text)
        return text

    @property
    def body_limit_bytes(self) -> int:
        """The largest body of a request."""
        return self.body_limit_mib * MEBIBYTE

    @property
    def run_threads(self) -> int:
        """Cores that one run may use."""
        # Half, so that even the smallest machine runs two requests at once: that is worth more than one
        # faster run, and a small model is slower on two cores than on one.
        return self.threads or max(1, min(4, available_cores() // max(2, self.workers)))

    @property
    def run_concurrency(self) -> int:
        """Long runs at once in one process."""
        return self.concurrency or max(1, available_cores() // (self.run_threads * max(1, self.workers)))

    @property
    def shared_runs(self) -> int:
        """Long runs at once in all processes together; 0 where each has a number of its own."""
        return 0 if self.concurrency else max(1, available_cores() // self.run_threads)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments before the environment before the file; an empty variable counts as unset."""
        _refuse_misspelt(os.environ, list(settings_cls.model_fields))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def _refuse_misspelt(variables: Mapping[str, str], settings: Sequence[str]) -> None:
    """Raises `ValidationError` for a variable whose name is almost a setting's, and would be ignored."""
    prefix = PREFIX.lower()
    given = {name.lower(): name for name, value in variables.items() if value}
    ours = [name.removeprefix(prefix) for name in given if name.startswith(prefix)]
    for name, meant in find_misspelt(ours, settings):
        variable = given[prefix + name]
        message = f"`{variable}` is no setting, expected `{PREFIX}{meant.upper()}`"
        error = PydanticCustomError("misspelt", "{message}", {"message": message})
        details = InitErrorDetails(type=error, loc=(meant,), input=variables[variable])
        raise ValidationError.from_exception_data("Settings", [details])
