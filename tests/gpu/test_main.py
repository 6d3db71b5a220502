"""The program that tests on a GPU, with checks of its own: its verdicts, its page, its exit codes."""

import time
from pathlib import Path

import pytest

from adaptact.errors import ProviderError
from adaptact.providers.built_in import CudaProvider
from tests.gpu import __main__ as program
from tests.gpu.bench import Bench, CheckError, NotHereError
from tests.gpu.card import Card, NoCardError
from tests.gpu.page import Outcome, render_page

CARD = Card("NVIDIA A|B", "580.95.05", 24564, "8.9")


def _pass(bench: Bench) -> str:
    assert bench.folder.is_dir()
    return "error 1e-6"


def _fail(bench: Bench) -> str:
    raise CheckError("off by 3")


def _break(bench: Bench) -> str:
    raise RuntimeError("the device is gone\nat line 3")


def _lack(bench: Bench) -> str:
    raise NotHereError("no Docker")


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(program, "find_card", lambda: CARD)
    monkeypatch.setattr(program, "PAGE", tmp_path / "gpu.md")
    monkeypatch.setattr(program, "PROVIDERS", ("cpu",))
    monkeypatch.setattr(CudaProvider, "require", lambda self: None)
    return tmp_path / "gpu.md"


def test_every_check_is_run_whatever_became_of_the_others() -> None:
    checks = {"a": _fail, "b": _break, "c": _lack, "d": _pass}
    outcomes = list(program.run_checks(("cpu",), checks, time.monotonic() + 60))
    assert [(outcome.verdict, outcome.found) for outcome in outcomes] == [
        ("FAILED", "off by 3"),
        ("FAILED", "RuntimeError: the device is gone"),
        ("left out", "no Docker"),
        ("passed", "error 1e-6"),
    ]


def test_a_provider_that_is_missing_is_left_out() -> None:
    (outcome,) = program.run_checks(("tensorrt-rtx",), {"a": _pass}, time.monotonic() + 60)
    assert outcome.verdict == "left out"
    assert "tensorrt-rtx" in outcome.found


def test_after_the_ten_minutes_checks_are_left_out() -> None:
    (outcome,) = program.run_checks(("cpu",), {"a": _pass}, time.monotonic() - 1)
    assert (outcome.verdict, outcome.found) == ("left out", "the ten minutes were over")


@pytest.mark.parametrize(("check", "code"), [(_pass, 0), (_lack, 0), (_fail, 1)])
def test_the_page_is_written_and_the_exit_code_tells(
    page: Path, check: program.Check, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "CHECKS", {"a": check})
    assert program.main([]) == code
    assert CARD.driver in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("missing", [NoCardError("no driver"), ProviderError("no `cuda`")])
def test_without_a_gpu_nothing_is_written(
    page: Path, missing: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> Card:
        raise missing

    monkeypatch.setattr(program, "find_card", fail)
    assert program.main([]) == 1
    assert not page.exists()
    assert str(missing) in capsys.readouterr().err


def test_a_rehearsal_writes_nothing(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "CHECKS", {"a": _pass})
    assert program.main(["--rehearse"]) == 0
    assert not page.exists()


def test_the_page_names_the_machine_and_what_failed() -> None:
    outcomes = [
        Outcome("TF32", "cuda", "passed", "error 1e-4\nof | it", 2.4),
        Outcome("CUDA image", "cuda", "FAILED", "no answer", 1.0),
    ]
    text = render_page(CARD, outcomes)
    assert "1 of 2 checks FAILED" in text
    assert "24564 MiB, compute capability 8.9, driver 580.95.05" in text
    assert "| TF32 | cuda | passed | error 1e-4 of \\| it | 2 |" in text
    assert "onnxruntime " in text
    assert "No check failed." in render_page(CARD, outcomes[:1])
