import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serve.client import (
    Client,
    InvalidFileError,
    InvalidInputError,
    InvalidReplyError,
    Predictions,
    TensorMetadata,
    UnavailableError,
)
from serve.client.batch.run import PredictionRequest, journal_path, predict_file
from tests.serve.client.batch.doubling import Doubling, metadata

GIVEN = np.arange(300, dtype=np.float32).reshape(100, 3)


@pytest.fixture
def request_(tmp_path: Path) -> PredictionRequest:
    np.savez(tmp_path / "in.npz", x=GIVEN)
    return PredictionRequest("double", None, tmp_path / "in.npz", tmp_path / "out.npz", batch=8, parallel=3)


def quiet(done: int, rows: int) -> None:
    pass


def test_the_result_has_every_row_in_order(request_: PredictionRequest) -> None:
    seen: list[tuple[int, int]] = []
    done = predict_file(Doubling(), request_, lambda *now: seen.append(now))
    assert (done.rows, done.kept, done.version) == (100, 0, "10")
    with np.load(request_.target) as found:
        assert np.array_equal(found["y"], 2 * GIVEN)
        assert found["length"].tolist() == [3] * 100
    assert (seen[0], seen[-1]) == ((0, 100), (100, 100))
    assert not journal_path(request_.target).exists()


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_run_goes_on_where_the_last_one_failed(request_: PredictionRequest, parallel: int) -> None:
    request = PredictionRequest("double", None, request_.source, request_.target, batch=8, parallel=parallel)
    with pytest.raises(UnavailableError):
        predict_file(Doubling(fails_after=5), request, quiet)
    assert not request.target.exists()
    client = Doubling()
    done = predict_file(client, request, quiet)
    # Up to `parallel - 1` answers were under way when the first failure came, and are asked for again.
    assert 8 * (5 - (parallel - 1)) <= done.kept <= 8 * 5
    assert sum(rows for _, rows in client.asked) == 100 - done.kept
    with np.load(request.target) as found:
        assert np.array_equal(found["y"], 2 * GIVEN)


def test_a_version_deployed_meanwhile_answers_nothing(request_: PredictionRequest) -> None:
    with pytest.raises(UnavailableError):
        predict_file(Doubling(fails_after=5), request_, quiet)
    client = Doubling()
    client.model = metadata()
    object.__setattr__(client.model, "versions", ("10", "11"))
    assert predict_file(client, request_, quiet).version == "10"
    assert {version for version, _ in client.asked} == {"10"}


def test_the_version_is_the_one_that_answers_now(request_: PredictionRequest) -> None:
    client = Doubling()
    client.aliases = {"stable": "9", "candidate": "10"}
    assert predict_file(client, request_, quiet).version == "9"
    assert {version for version, _ in client.asked} == {"9"}


def test_an_alias_that_moves_meanwhile_changes_nothing(request_: PredictionRequest) -> None:
    request = replace(request_, version="blue")
    before, after = Doubling(fails_after=5), Doubling()
    before.aliases, after.aliases = {"blue": "9"}, {"blue": "10"}
    with pytest.raises(UnavailableError):
        predict_file(before, request, quiet)
    assert predict_file(after, request, quiet).version == "9"
    assert {version for version, _ in [*before.asked, *after.asked]} == {"9"}


def test_an_alias_of_another_version_is_another_job(request_: PredictionRequest) -> None:
    client = Doubling(fails_after=5)
    client.aliases = {"blue": "9", "green": "10", "nine": "9"}
    with pytest.raises(UnavailableError):
        predict_file(client, replace(request_, version="blue"), quiet)
    with pytest.raises(InvalidFileError, match="something else: version `9`, now `10`;"):
        predict_file(client, replace(request_, version="green"), quiet)
    client.fails_after = None
    assert predict_file(client, replace(request_, version="nine"), quiet).kept


def test_answers_of_another_model_are_refused_at_once(request_: PredictionRequest) -> None:
    with pytest.raises(UnavailableError):
        predict_file(Doubling(fails_after=5), request_, quiet)
    with (
        Client("http://127.0.0.1:1") as nobody,
        pytest.raises(InvalidFileError, match="something else: model `double`, now `mul`; ask"),
    ):
        predict_file(nobody, replace(request_, model="mul"), quiet)


def test_a_file_that_is_no_journal_survives_a_run_that_fails(request_: PredictionRequest) -> None:
    journal_path(request_.target).write_bytes(b"my only copy")
    for restart in (False, True):
        with pytest.raises(InvalidFileError, match="is left as it is"):
            predict_file(Doubling(), replace(request_, restart=restart), quiet)
    assert journal_path(request_.target).read_bytes() == b"my only copy"


def test_the_result_never_takes_the_inputs_place(request_: PredictionRequest) -> None:
    with pytest.raises(InvalidFileError, match="is the input"):
        predict_file(Doubling(), replace(request_, target=request_.source), quiet)


def test_answers_to_something_else_are_not_mixed_in(request_: PredictionRequest) -> None:
    with pytest.raises(UnavailableError):
        predict_file(Doubling(fails_after=5), request_, quiet)
    np.savez(request_.source, x=GIVEN + 1)
    with pytest.raises(InvalidFileError, match="holds answers to something else"):
        predict_file(Doubling(), request_, quiet)
    anew = PredictionRequest("double", None, request_.source, request_.target, batch=8, restart=True)
    assert predict_file(Doubling(), anew, quiet).kept == 0
    with np.load(request_.target) as found:
        assert np.array_equal(found["y"], 2 * GIVEN + 2)


def test_only_the_outputs_asked_for_are_in_the_result(request_: PredictionRequest, tmp_path: Path) -> None:
    request = PredictionRequest("double", "1", request_.source, tmp_path / "out.csv", ("length",))
    predict_file(Doubling(), request, quiet)
    assert request.target.read_text().splitlines()[:2] == ["length", "3"]


def test_an_output_without_a_row_for_each_is_refused(request_: PredictionRequest) -> None:
    class Total(Doubling):
        def infer(self, model: str, inputs: object, **options: object) -> object:  # type: ignore[override]
            class Result:
                outputs = {"total": np.float32(3)}  # noqa: RUF012  # nobody changes it

            return Result()

    with pytest.raises(InvalidReplyError, match="it has no answer for each"):
        predict_file(Total(), request_, quiet)


def test_the_images_of_a_folder_are_sent_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, content in {"b.PNG": b"second", "a.jpg": b"first", "note.txt": b"no image"}.items():
        (folder / name).write_bytes(content)

    class Looking(Doubling):
        def predict(self, model: str, instances: object, version: str | None = None) -> Predictions:
            assert instances == [b"first", b"second"]
            return Predictions([{"y": [1.5], "length": 7}, {"y": [2.5], "length": 8}], ("cat", "dog"))

    request = PredictionRequest("double", None, folder, tmp_path / "out.csv")
    predict_file(Looking(), request, quiet)
    assert request.target.read_text().splitlines() == [
        "file,label,y[0],length",
        "a.jpg,cat,1.5,7",
        "b.PNG,dog,2.5,8",
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / "images" / name).write_bytes(b"an image")
    return tmp_path / "images"


@pytest.mark.parametrize(("place", "message"), [(0, r"/c\.png`"), (7, r"`instances\[7\]`")])
def test_an_image_that_the_server_refuses_is_named(folder: Path, place: int, message: str) -> None:
    class Refusing(Doubling):
        def predict(self, model: str, instances: object, version: str | None = None) -> Predictions:
            if len(instances) == 2:  # type: ignore[arg-type]
                return Predictions([{"y": [1.5], "length": 7}] * 2, ())
            raise InvalidInputError(f"`instances[{place}]` is neither a PNG nor a JPEG image", 400)

    request = PredictionRequest("double", None, folder, folder / "out.csv", batch=2, parallel=1)
    with pytest.raises(InvalidFileError, match=f"{message} is neither"):
        predict_file(Refusing(), request, quiet)


def test_an_image_that_is_overwritten_while_a_run_goes_on_is_noticed(folder: Path) -> None:
    class Overwriting(Doubling):
        def predict(self, model: str, instances: object, version: str | None = None) -> Predictions:
            (folder / "c.png").write_bytes(b"another image")
            return Predictions([{"y": [1.5], "length": 7}] * 2, ())

    request = PredictionRequest("double", None, folder, folder / "out.csv", batch=2, parallel=1)
    with pytest.raises(InvalidFileError, match=r"c\.png` is not what it was when the run began"):
        predict_file(Overwriting(), request, quiet)


def test_what_can_be_read_only_once_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "in.csv")
    with pytest.raises(InvalidFileError, match="is a pipe or a device"):
        predict_file(
            Doubling(), PredictionRequest("d", None, tmp_path / "in.csv", tmp_path / "out.csv"), quiet
        )


def test_a_prediction_without_an_output_is_refused(folder: Path) -> None:
    class Lacking(Doubling):
        def predict(self, model: str, instances: object, version: str | None = None) -> Predictions:
            return Predictions([{"y": [1.5]}] * 3, ())

    with pytest.raises(InvalidReplyError, match="output `length` of the reply is no array: `null`"):
        predict_file(Lacking(), PredictionRequest("double", None, folder, folder / "out.csv"), quiet)


@pytest.mark.parametrize(("name", "message"), [("d.png", "No such file"), ("\udcff.png", "is not UTF-8")])
def test_an_image_without_a_file_or_a_name_is_refused(folder: Path, name: str, message: str) -> None:
    (folder / name).symlink_to("nowhere")
    with pytest.raises(InvalidFileError, match=message):
        predict_file(Doubling(), PredictionRequest("double", None, folder, folder / "out.csv"), quiet)


@pytest.mark.parametrize(
    ("source", "target"), [("in.npz", "out.txt"), ("in.json", "out.npz"), ("in.npz", "out"), (".", "out.npz")]
)
def test_names_of_other_forms_are_refused(tmp_path: Path, source: str, target: str) -> None:
    with pytest.raises(InvalidFileError):
        predict_file(
            Doubling(), PredictionRequest("double", None, tmp_path / source, tmp_path / target), quiet
        )
    assert list(tmp_path.iterdir()) == []


def test_a_model_whose_first_sizes_differ_takes_no_rows(request_: PredictionRequest) -> None:
    model = metadata(x=TensorMetadata("x", "FP32", (2, 3)), z=TensorMetadata("z", "FP32", (4, 3)))
    np.savez(request_.source, x=np.ones((8, 3)), z=np.ones((8, 3)))
    with pytest.raises(InvalidFileError, match="does not take rows"):
        predict_file(Doubling(model), request_, quiet)
