"""Tests that need OpenVINO's plug-in, and a processor that it runs on."""

import pytest

from adaptact.errors import ProviderError
from adaptact.providers.catalogue import find_provider


def require_openvino() -> None:
    """Skip the test where OpenVINO cannot be used."""
    try:
        find_provider("openvino").require()
    except ProviderError as error:
        pytest.skip(str(error))
