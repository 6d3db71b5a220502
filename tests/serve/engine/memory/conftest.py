import pytest

from serve.engine.memory.amounts import LEAST, ModelMemory


@pytest.fixture
def of_equal_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each loaded version counts as LEAST bytes."""
    monkeypatch.setattr("serve.engine.model_loader.measure_memory", lambda *_, **__: ModelMemory(0, LEAST))
