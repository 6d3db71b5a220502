import logging
from collections.abc import Iterator

import pytest

from tests.serve.in_process import Client

PATH = "/v2/logging"
LOGGER = logging.getLogger("adaptact")


@pytest.fixture(autouse=True)
def _the_logger_as_it_was() -> Iterator[None]:
    level, filters = LOGGER.level, list(LOGGER.filters)
    LOGGER.setLevel(logging.INFO)
    yield
    LOGGER.setLevel(level)
    LOGGER.filters[:] = filters


def _logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        LOGGER.log(level, logging.getLevelName(level))
    return [record.message for record in caplog.records if record.name == "adaptact"]


def test_the_settings_are_those_of_the_start(fresh: Client) -> None:
    assert fresh.get(PATH).json() == {
        "log_file": "",
        "log_info": True,
        "log_warning": True,
        "log_error": True,
        "log_verbose_level": 0,
        "log_format": "default",
    }


def test_what_is_changed_is_what_is_logged(fresh: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert _logged(caplog) == ["INFO", "WARNING", "ERROR", "CRITICAL"]
    changed = fresh.post(PATH, {"log_info": False, "log_verbose_level": 1}).json()
    assert (changed["log_info"], changed["log_verbose_level"], changed["log_error"]) == (False, 1, True)
    assert fresh.get(PATH).json() == changed
    assert _logged(caplog) == ["DEBUG", "WARNING", "ERROR", "CRITICAL"]
    fresh.post(PATH, {"log_warnings": False, "log_errors": False, "log_verbose_level": 0})
    assert _logged(caplog) == ["CRITICAL"]


def test_what_is_not_given_stays(fresh: Client) -> None:
    fresh.post(PATH, {"log_warning": False})
    assert fresh.post(PATH).json()["log_warning"] is False
    assert fresh.post(PATH, {"log_file": "", "log_format": "default"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"log_file": "/etc/passwd"}, "`log_file` cannot be changed while the server runs"),
        ({"log_format": "ISO8601"}, "`log_format` cannot be changed while the server runs"),
        ({"log_info": 1}, "`log_info` is `1`, expected true or false"),
        ({"log_verbose_level": -1}, "`log_verbose_level` is `-1`"),
        ({"log_verbose_level": True}, "`log_verbose_level` is `True`"),
        ({"log_all": True}, "`log_all` is no setting of the log; known: `log_file`"),
        ([], "the body is not a JSON object"),
    ],
)
def test_what_cannot_be_set_is_refused_and_changes_nothing(
    client: Client, body: object, message: str
) -> None:
    before = client.get(PATH).json()
    response = client.post(PATH, body)
    assert response.status_code == 400
    assert message in response.json()["error"]
    assert client.get(PATH).json() == before
