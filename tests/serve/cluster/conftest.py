import pytest

from tests.serve.cluster.stage import Stage


@pytest.fixture
def stage() -> Stage:
    made = Stage()
    made.run()
    return made
