from typing import Any

import pytest

from serve.engine.errors import MalformedRequestError, UnsupportedError
from serve.protocol.trace_settings import TraceSettings, update_trace_settings


@pytest.mark.parametrize("given", [{}, {"trace_level": ["OFF"]}, {"trace_rate": None, "trace_count": "-1"}])
def test_what_leaves_traces_off_is_taken(given: dict[str, Any]) -> None:
    assert update_trace_settings(given) == TraceSettings()


@pytest.mark.parametrize("given", [{"trace_level": ["TIMESTAMPS"]}, {"trace_level": []}, {"trace_rate": "1"}])
def test_what_would_trace_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="traces to a file are not supported"):
        update_trace_settings(given)


def test_a_setting_that_there_is_none_of_is_named() -> None:
    with pytest.raises(MalformedRequestError, match="`other` is no setting of traces"):
        update_trace_settings({"other": 1})
