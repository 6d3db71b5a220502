"""The search for a GPU, of which the driver and `nvidia-smi` are played."""

import subprocess

import pytest

from tests.gpu import card
from tests.gpu.card import Card, NoCardError, find_card


def _load(name: str) -> object:
    return object()


def _answer(text: str) -> object:
    return find_card(lambda: text, _load)


def test_the_first_card_is_read() -> None:
    text = "NVIDIA GeForce RTX 4090, 580.95.05, 24564, 8.9\nNVIDIA T4, 580.95.05, 15360, 7.5\n"
    assert _answer(text) == Card("NVIDIA GeForce RTX 4090", "580.95.05", 24564, "8.9")


def test_without_a_driver_nothing_is_asked() -> None:
    def refuse(name: str) -> object:
        raise OSError(f"{name}: cannot open shared object file")

    with pytest.raises(NoCardError, match=r"no driver: `libcuda\.so\.1` cannot be loaded"):
        find_card(lambda: pytest.fail("asked"), refuse)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError("nvidia-smi"), "does not answer"),
        (subprocess.CalledProcessError(9, "nvidia-smi"), "does not answer"),
        (subprocess.TimeoutExpired("nvidia-smi", 30), "does not answer"),
    ],
)
def test_a_program_that_fails_is_no_gpu(error: Exception, said: str) -> None:
    def fail() -> str:
        raise error

    with pytest.raises(NoCardError, match=said):
        find_card(fail, _load)


@pytest.mark.parametrize("text", ["", "\n", "No devices were found", "A, 580.1, [N/A], 8.9", "A, B"])
def test_another_answer_is_no_gpu(text: str) -> None:
    with pytest.raises(NoCardError, match="no GPU: `nvidia-smi` says"):
        _answer(text)


def test_a_driver_before_cuda_13_is_named() -> None:
    with pytest.raises(NoCardError, match=r"driver of `A` is 570\.1, expected 580 or later"):
        _answer("A, 570.1, 100, 8.9")


def test_the_command_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> Card:
        raise NoCardError("no driver: none")

    monkeypatch.setattr(card, "find_card", fail)
    assert card.main() == 1
    assert capsys.readouterr().err.startswith("error: no driver: none\nnothing was tested")
    monkeypatch.setattr(card, "find_card", lambda: Card("A", "580.1", 100, "8.9"))
    assert card.main() == 0
    assert capsys.readouterr().out == "A, driver 580.1, 100 MiB, compute 8.9\n"
