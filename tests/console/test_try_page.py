import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.console.conftest import go
from tests.serve.models import model, put
from tests.serve.process import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# The smallest PNG that is red: one pixel.
RED = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


def _ask(page: Any) -> str:
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".answer").wait_for()
    return str(page.locator(".answer").inner_text())


def _commands(page: Any) -> tuple[str, str]:
    curl, python = (str(page.get_by_label(name, exact=True).inner_text()) for name in ("curl", "Python"))
    return curl, python


def test_numbers_are_answered_with_classes(page: Any) -> None:
    go(page, "try/scores")
    page.get_by_role("textbox").fill("1, -2.5\t0.5 4")
    assert "read as shape [1, 4]" in page.locator("form").inner_text()
    answer = _ask(page)
    assert "answered by version 2" in answer
    names = page.locator(".bars dt").all_inner_texts()
    assert names == ["cat", "bird", "dog"]
    assert page.locator(".bar-number").all_inner_texts() == ["1.000", "0.500", "−2.500"]
    page.get_by_label("as probabilities").check()
    assert "%" in page.locator(".bar-number").first.inner_text()


def test_an_answer_goes_with_the_input_that_it_answers(page: Any) -> None:
    go(page, "try/scores")
    page.get_by_role("textbox").fill("1, 2, 3, 4")
    _ask(page)
    page.get_by_role("textbox").fill("1, 2, 3, 5")
    page.get_by_text("Nothing was asked yet.").wait_for()
    assert page.locator(".answer").count() == 0
    _ask(page)


def test_an_example_fits_the_input(page: Any) -> None:
    go(page, "try/scores/1")
    page.get_by_role("button", name="Random").click()
    assert "answered by version 1" in _ask(page)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "nothing is entered yet"),
        ("1, 2, 3", "3 values of shape [3], expected [?, 4]"),
        ("[[1, 2, 3, 4], [5]]", "the lists inside have different lengths"),
        ("1, 2, x, 4", "line 1 has x, expected a number"),
        ("1, 2, 0x10, 4", "line 1 has 0x10, expected a number"),
        ("[1, 2, 3, null]", "value 4 is null, expected FP32"),
        ('{"a": 1}', "expected FP32"),
        ("[1, 2", "this begins as JSON does and is none"),
    ],
)
def test_a_wrong_input_is_told_before_it_is_sent(page: Any, text: str, problem: str) -> None:
    go(page, "try/scores")
    page.get_by_role("textbox").fill(text)
    assert problem in page.locator("form").inner_text()
    assert page.get_by_role("button", name="Ask", exact=True).is_disabled()


def test_the_same_call_can_be_copied(page: Any) -> None:
    go(page, "try/scores")
    page.get_by_role("textbox").fill("[[1, 2, 3, 4], [5, 6, 7, 8]]")
    curl, python = _commands(page)
    run = subprocess.run(shlex.split(curl.replace("\\\n", " ")), capture_output=True, text=True, check=True)
    assert json.loads(run.stdout)["outputs"][0]["data"] == [1, 2, 3, 5, 6, 7]
    run = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, check=True)
    assert re.sub(r"\s", "", run.stdout).count("[[1.,2.,3.],[5.,6.,7.]]") == 1


def test_a_long_call_reads_its_body_from_a_file(page: Any, tmp_path: Path) -> None:
    go(page, "try/scores")
    page.get_by_role("textbox").fill(json.dumps([[1.5, 2, 3, 4]] * 500))
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save request.json").click()
    saving.value.save_as(tmp_path / "request.json")
    for command in _commands(page):
        line = (
            [sys.executable, "-c", command]
            if "import" in command
            else shlex.split(command.replace("\\\n", " "))
        )
        run = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert "1.5" in run.stdout


def test_an_image_is_answered(page: Any) -> None:
    go(page, "try/colours")
    page.locator("input[type=file]").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": RED}
    )
    page.get_by_alt_text("The image that was chosen").wait_for()
    assert "Likeliest class: red" in _ask(page)
    assert page.locator(".bars dt").first.inner_text() == "red"


def test_what_is_no_image_is_refused_at_once(page: Any) -> None:
    go(page, "try/colours")
    page.locator("input[type=file]").set_input_files(
        {"name": "a.txt", "mimeType": "text/plain", "buffer": b"no"}
    )
    page.get_by_text("a.txt is neither PNG nor JPEG").wait_for()


def test_a_row_of_a_table_is_answered(page: Any) -> None:
    go(page, "try/table")
    page.get_by_label("amount").fill("2.5")
    page.get_by_role("textbox", name="colour").fill("red")
    assert "high" in _ask(page)
    page.get_by_label("amount").fill("much")
    page.get_by_text("amount is no number").wait_for()


def test_a_request_that_fails_is_told(page: Any) -> None:
    go(page, "try/scores")
    page.route("**/infer", lambda route: route.fulfill(status=503, json={"error": "the queue is full"}))
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("the queue is full").wait_for()
    assert "Wait a moment" in page.get_by_role("alert").inner_text()


@pytest.fixture(scope="module")
def squares(server: ServerProcess, folder: Path) -> None:
    """A model of whole numbers, and one of any, with all that they can be."""
    for name, datatype in (("squares", "int64"), ("logs", "float")):
        act = "Mul (x, x)" if name == "squares" else "Log (x)"
        put(folder, name, model(f"graph ({datatype}[n] x) => ({datatype}[n] y) {{ y = {act} }}"))
        httpx.post(f"{server.url}/v2/repository/models/{name}/load").raise_for_status()


@pytest.mark.usefixtures("squares")
@pytest.mark.parametrize("text", ["3037000499, 2147483648, -3", "[3037000499, 2147483648, -3]"])
def test_whole_numbers_are_shown_with_all_their_digits(page: Any, text: str) -> None:
    go(page, "try/squares")
    page.get_by_role("textbox").fill(text)
    assert "9,223,372,030,926,249,001   4,611,686,018,427,387,904   9" in _ask(page)


@pytest.mark.usefixtures("squares")
def test_whole_numbers_are_sent_with_all_their_digits(page: Any) -> None:
    go(page, "try/squares")
    page.get_by_role("textbox").fill("9007199254740993 -9223372036854775808")
    with page.expect_request("**/infer") as sent:
        _ask(page)
    assert json.loads(sent.value.post_data)["inputs"][0]["data"] == [2**53 + 1, -(2**63)]
    assert "[9007199254740993, -9223372036854775808]" in _commands(page)[1]
    page.get_by_role("textbox").fill("9223372036854775808")
    assert "value 1 is 9223372036854775808, expected INT64" in page.locator("form").inner_text()


@pytest.mark.usefixtures("squares")
def test_nan_and_infinity_are_sent_and_an_answer_with_them_is_for_programs(page: Any) -> None:
    go(page, "try/logs")
    page.get_by_role("textbox").fill("1, NaN, -inf")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("alert").wait_for()
    assert "holds NaN or an infinity" in page.get_by_role("alert").inner_text()
    assert "Python client" in page.get_by_role("alert").inner_text()
    curl, python = _commands(page)
    assert "[1,NaN,-Infinity]" in curl
    assert '[1, float("NaN"), float("-Infinity")]' in python
