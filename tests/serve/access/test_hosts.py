import pytest

from serve.access.hosts import AllowedHosts


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        (b"models.example", True),
        (b"MODELS.example.:8000", True),
        (b"a.plant.example", True),
        (b"plant.example", False),
        (b"a.b.plant.example", False),
        (b"evil-plant.example", False),
        (b"models.example.evil", False),
        (b"models.example@evil", False),
        (b"localhost:8000", True),
        (b"127.0.0.1:8000", True),
        (b"[::1]:8000", True),
        (b"192.0.2.7", True),
        (b"evil", False),
        (b"", False),
        (b"\xff", False),
        (b"[", False),
        (b"evil:models.example", False),
        (b"models.example/evil", False),
        (b"models.example?evil", False),
        (b"models.example#evil", False),
        (b"models.example\\evil", False),
        (b"models.example:80/evil", False),
        (b"models.example:", True),
        (b"models.example:http", False),
        (b"models.example evil", False),
        (b"[::1]evil", False),
        (b"[::1", False),
    ],
)
def test_names_in_the_list_and_addresses_are_allowed(host: bytes, is_allowed: bool) -> None:
    assert AllowedHosts(["models.example", "*.plant.example"]).allow(host) == is_allowed
