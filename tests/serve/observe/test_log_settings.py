import asyncio
import logging

import pytest

from serve.engine.errors import MalformedRequestError
from serve.observe.log_settings import LogSettings, install_log_filter, parse_changes, update_log_settings
from serve.shared.worker_group import WorkerGroup


def test_a_change_reaches_the_filter() -> None:
    logger, workers = logging.Logger("own", logging.INFO), WorkerGroup()
    log_filter = install_log_filter(logger, workers)
    settings = asyncio.run(update_log_settings(workers, {"log_warnings": False, "log_verbose_level": 2}))
    assert settings == log_filter.settings == LogSettings(log_warning=False, log_verbose_level=2)
    assert logger.level == logging.DEBUG
    assert not log_filter.filter(logging.makeLogRecord({"levelno": logging.WARNING}))
    assert log_filter.filter(logging.makeLogRecord({"levelno": logging.CRITICAL}))


def test_a_new_filter_takes_the_place_of_the_old() -> None:
    logger = logging.Logger("own", logging.WARNING)
    install_log_filter(logger, WorkerGroup())
    assert logger.filters == [install_log_filter(logger, WorkerGroup())]


def test_a_refused_change_says_what_can_be_set() -> None:
    with pytest.raises(MalformedRequestError, match="known: `log_file`"):
        parse_changes({"log_all": True})
