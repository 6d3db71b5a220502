from tools.generate_client import TARGET, generate_client


def test_the_blocking_client_is_generated() -> None:
    assert TARGET.read_text() == generate_client(), "run `make client`"
