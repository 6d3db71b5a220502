import dataclasses
from pathlib import Path

import pytest

from adaptact.providers.catalogue import ProviderChoice
from serve.drift.options import DriftOptions
from serve.engine.config import ModelConfig
from serve.engine.errors import StateError
from serve.engine.memory.options import MemoryOptions
from serve.engine.options import EngineOptions, Policies
from serve.engine.providers import CudaOptions
from serve.engine.weights.options import LEAST_BYTES, WeightsOptions
from serve.options import make_drift_options, make_engine_options
from serve.settings import Settings


def test_every_option_of_the_engine_is_a_setting() -> None:
    settings = Settings(
        models=Path("m"),
        provider="cuda",
        threads=3,
        concurrency=5,
        provider_seconds=2.0,
        model_limit_mib=7,
        poll_seconds=2.5,
        start_empty=True,
        versions="latest:3",
        batching="on",
        batch_rows=9,
        request_rows=11,
        queue_length=13,
        queue_seconds=1.5,
        queue_target_seconds=0.75,
        run_seconds=6.5,
        require_parity=True,
        require_strong_parity=True,
        require_signature=Path("key.pem"),
        cuda_device=1,
        cuda_memory_limit_mib=2,
        cuda_tf32=True,
        cuda_graph_rows="1,8,32",
        state=Path("s"),
        experiments_store="e",
        drain_seconds=4.5,
        load_seconds=5.5,
        triton_metrics=True,
        weights_cache="w",
        weights_cache_mib=17,
        model_memory="1GiB",
        workers=3,
    )
    made = make_engine_options(settings)
    assert made == EngineOptions(
        folder=Path("m"),
        provider="cuda",
        threads=3,
        concurrency=5,
        provider_seconds=2.0,
        model_limit_bytes=7 * 2**20,
        poll_seconds=2.5,
        may_start_empty=True,
        defaults=ModelConfig("latest:3", "on", 9, 11, 13, 1.5, 0.75, 6.5),
        policies=Policies(require_parity=True, require_strong_parity=True, require_signature=Path("key.pem")),
        cuda=CudaOptions(device=1, memory_limit_bytes=2 * 2**20, tf32=True, graph_rows=(1, 8, 32)),
        state_folder=Path("s"),
        digests=True,
        weights=WeightsOptions(Path("w"), 17 * 2**20, wait_seconds=2.75),
        memory=MemoryOptions(2**30, processes=3),
        drain_seconds=4.5,
        load_seconds=5.5,
        triton_names=True,
    )
    # Each differs from its default, so none was left out.
    default = EngineOptions(folder=Path("other"))
    for part, standard in ((made, default), (made.defaults, ModelConfig()), (made.cuda, CudaOptions())):
        for field in dataclasses.fields(part):
            if field.name in ("hung_files", "cores", "observe", "provider_rows", "pinned"):
                continue  # no settings: processes tell them each other, or make them; or of one model
            assert getattr(part, field.name) != getattr(standard, field.name), field.name


@pytest.mark.parametrize(("provider", "least"), [("cpu", LEAST_BYTES), ("auto", LEAST_BYTES), ("cuda", None)])
def test_a_budget_knows_which_weights_are_shared(provider: ProviderChoice, least: int | None) -> None:
    made = Settings(models=Path("m"), provider=provider, weights_cache="w", model_memory="1GiB", workers=3)
    assert make_engine_options(made).memory == MemoryOptions(2**30, 3, least)


def test_the_defaults_of_both_are_the_same_but_for_the_cores() -> None:
    made = make_engine_options(Settings(models=Path("m")))
    default = EngineOptions(folder=Path("m"), threads=made.threads, concurrency=made.concurrency)
    assert made == default


def test_drift_is_as_the_settings_say() -> None:
    settings = Settings(
        models=Path("m"),
        state=Path("s"),
        drift_minutes=5,
        drift_rate=2,
        drift_first_rows=300,
        drift_layers_mib=3,
    )
    assert make_drift_options(settings) == DriftOptions(300.0, 2.0, 300, Path("s"), 3 * 2**20)
    assert make_engine_options(settings).digests
    assert make_drift_options(Settings(models=Path("m"), drift=False)) is None
    with pytest.raises(StateError, match="needs `--state`"):
        make_drift_options(Settings(models=Path("m"), drift_first_rows=300))
