import logging
from collections.abc import Iterator

import pytest

from tests.serve.in_process import Client

BOTH = pytest.mark.parametrize("path", ["/v2/trace/setting", "/v2/models/double/trace/setting"])
OFF = {
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "trace_count": "-1",
    "log_frequency": "0",
    "trace_file": "",
}


@BOTH
@pytest.mark.parametrize("body", [{}, {"trace_level": ["OFF"]}, {"trace_rate": None, "trace_count": "-1"}])
def test_traces_to_a_file_are_off_and_may_stay_so(client: Client, path: str, body: object) -> None:
    assert client.get(path).json() == OFF
    assert client.post(path, body).json() == OFF


@BOTH
@pytest.mark.parametrize("body", [{"trace_level": ["TIMESTAMPS"]}, {"trace_rate": "1"}])
def test_traces_that_cannot_be_are_refused(client: Client, path: str, body: object) -> None:
    response = client.post(path, body)
    assert response.status_code == 501
    assert "traces to a file are not supported" in response.json()["error"]


@BOTH
def test_a_setting_that_there_is_none_of_is_refused(client: Client, path: str) -> None:
    response = client.post(path, {"other": 1})
    assert response.status_code == 400
    assert "`other` is no setting of traces; known: `trace_level`" in response.json()["error"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_model_has_no_trace(client: Client, method: str) -> None:
    assert client.request(method, "/v2/models/nope/trace/setting").status_code == 404


def test_what_is_not_supported_is_no_extension(client: Client) -> None:
    extensions = client.get("/v2").json()["extensions"]
    assert not {"trace", "cuda_shared_memory", "sequence"} & set(extensions)


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
