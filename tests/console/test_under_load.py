"""Every page while clients ask, report outcomes, and unload and load a model."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.console.conftest import start_server, watch
from tests.console.load import Load
from tests.console.models import write_models
from tests.console.units import run_experiment
from tests.console.visits import VISITS, note_failures, visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """A server with an experiment that runs, under load."""
    folder = tmp_path_factory.mktemp("busy") / "models"
    write_models(folder)
    with start_server(folder) as server:
        run_experiment(server.url, folder)
        with Load(server.url) as load:
            yield load


@pytest.mark.parametrize("language", ["en-US", "ja-JP"])
def test_every_page_is_opened_used_and_left_without_a_complaint(
    browser: Any, busy: Load, language: str
) -> None:
    context = browser.new_context(base_url=busy.url, locale=language)
    context.set_default_timeout(60_000)
    page = context.new_page()
    complaints: list[str] = []
    watch(page, complaints)
    note_failures(page, complaints)
    before = busy.done.copy()
    for place in VISITS:
        visit(page, place)
    context.close()
    assert complaints == []
    done = busy.done - before
    assert {"inference 200", "feedback 200", "load 200", "unload 200"} == set(done)
