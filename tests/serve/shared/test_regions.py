"""Regions of shared memory: what may be registered, and what clients may do to them afterwards."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from serve.engine.datatypes import BY_NAME
from serve.engine.errors import EngineError, MalformedRequestError, RegionError, UnsupportedError
from serve.engine.signature import Array
from serve.protocol.messages import InferRequest, RequestedOutput
from serve.protocol.placements import PlacedInput, Placement
from serve.shared import regions as regions_module
from serve.shared.regions import LARGEST_REQUESTS, MOST_REGIONS, MemoryRegions, RegionStatus, open_regions
from serve.shared.worker_group import WorkerGroup

LIMIT = 2**20
ROW = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the system's."""
    monkeypatch.setattr(regions_module, "FOLDER", str(tmp_path))
    return tmp_path


@pytest.fixture
def regions(folder: Path) -> MemoryRegions:
    """Regions `in`, of the row, and `out`, of 100 bytes behind 4 others."""
    (folder / "t_in").write_bytes(ROW.tobytes())
    (folder / "t_out").write_bytes(bytes(104))
    made = MemoryRegions(["t_"], LIMIT, WorkerGroup())
    register(made, "in", "t_in", 0, ROW.nbytes)
    register(made, "out", "/t_out", 4, 100)
    return made


def register(regions: MemoryRegions, name: str, key: str, offset: int = 0, size: int = 1) -> None:
    asyncio.run(regions.register(RegionStatus(name, key, offset, size)))


def request(place: Placement, into: Placement | None = None, datatype: str = "FP32") -> InferRequest:
    shape = [2, 3] if datatype == "FP32" else [2]
    return InferRequest(
        {},
        {} if into is None else {"y": RequestedOutput(True, 0, into)},
        placed={"x": PlacedInput(place, BY_NAME[datatype], shape)},
    )


def run(regions: MemoryRegions, asked: InferRequest) -> Any:
    async def double(inputs: Mapping[str, Array]) -> dict[str, Array]:
        x: Any = inputs["x"]
        return {"y": x + x, "z": x}

    return asyncio.run(regions.run(asked, double))


def count_open(path: Path) -> int:
    """How often this process has the file open."""
    descriptors = Path("/proc/self/fd").iterdir()
    return sum(os.path.realpath(descriptor) == str(path) for descriptor in descriptors)


IN, OUT = Placement("in", ROW.nbytes), Placement("out", 60, 8)


def test_an_input_is_read_and_an_output_is_written(regions: MemoryRegions, folder: Path) -> None:
    answer = run(regions, request(IN, OUT))
    assert answer.request.inputs["x"].tolist() == ROW.tolist()
    assert list(answer.outputs) == ["z"]
    placed = answer.placed["y"]
    assert placed == (Placement("out", ROW.nbytes, 8), "FP32", (2, 3))
    data = (folder / "t_out").read_bytes()
    assert data == bytes(12) + (2 * ROW).tobytes() + bytes(104 - 12 - ROW.nbytes)


def test_texts_are_read_and_written_with_their_lengths(regions: MemoryRegions, folder: Path) -> None:
    texts = b"\x02\0\0\0ab\x01\0\0\0c"
    (folder / "t_in").write_bytes(texts.ljust(ROW.nbytes, b"\0"))
    answer = run(regions, request(Placement("in", len(texts)), OUT, "BYTES"))
    assert answer.request.inputs["x"].tolist() == ["ab", "c"]
    assert answer.placed["y"].placement.size == 14
    assert (folder / "t_out").read_bytes()[12:26] == b"\x04\0\0\0abab\x02\0\0\0cc"


def test_large_tensors_are_copied_in_a_thread(folder: Path) -> None:
    array = np.arange(2**18, dtype=np.float32).reshape(2, -1)
    (folder / "t_in").write_bytes(array.tobytes())
    (folder / "t_out").write_bytes(bytes(array.nbytes))
    regions = MemoryRegions(["t_"], array.nbytes, WorkerGroup())
    register(regions, "in", "t_in", 0, array.nbytes)
    register(regions, "out", "t_out", 0, array.nbytes)
    place = PlacedInput(Placement("in", array.nbytes), BY_NAME["FP32"], list(array.shape))
    outputs = {"y": RequestedOutput(True, 0, Placement("out", array.nbytes))}
    run(regions, InferRequest({}, outputs, placed={"x": place}))
    assert np.array_equal(np.frombuffer((folder / "t_out").read_bytes(), np.float32), 2 * array.ravel())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (request(Placement("nope", 24)), "there is no shared memory region `nope`"),
        (request(Placement("in", 25)), "has `24` bytes, and the tensor takes `25`"),
        (request(Placement("in", 24, 1)), "takes `24` from `1` on"),
        (request(Placement("in", 1, 2**64)), "from `18446744073709551616` on"),
        (request(Placement("in", 20)), "takes `24` bytes, got `20`"),
        (request(Placement("in", LIMIT + 1)), f"the limit is `{LIMIT}`"),
        (
            request(IN, Placement("out", 23)),
            "output `y` has `24` bytes, and `shared_memory_byte_size` is `23`",
        ),
        (request(IN, Placement("out", 24, 77)), "takes `24` from `77` on"),
        (request(IN, Placement("nope", 24)), "there is no shared memory region `nope`"),
    ],
)
def test_what_does_not_fit_is_refused(
    regions: MemoryRegions, folder: Path, asked: InferRequest, message: str
) -> None:
    with pytest.raises((RegionError, MalformedRequestError), match=message):
        run(regions, asked)
    assert (folder / "t_out").read_bytes() == bytes(104)
    run(regions, request(IN, OUT))


def test_an_object_that_is_shortened_afterwards_is_an_error(regions: MemoryRegions, folder: Path) -> None:
    os.truncate(folder / "t_in", 10)
    with pytest.raises(RegionError, match="the object `t_in` has `10` bytes"):
        run(regions, request(IN))
    os.truncate(folder / "t_in", ROW.nbytes)
    os.truncate(folder / "t_out", 10)
    with pytest.raises(RegionError, match="the object `/t_out` has `10` bytes"):
        run(regions, request(IN, OUT))
    assert (folder / "t_out").stat().st_size == 10


def test_a_region_outlives_its_name_in_the_system(regions: MemoryRegions, folder: Path) -> None:
    (folder / "t_in").unlink()
    assert run(regions, request(IN)).outputs["y"].tolist() == (2 * ROW).tolist()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "is no shared memory object's"),
        ("/", "is no shared memory object's"),
        ("..", "is no shared memory object's"),
        ("../etc/passwd", "is no shared memory object's"),
        ("t_/../x", "is no shared memory object's"),
        ("//t_in", "is no shared memory object's"),
        ("t_in\n", "is no shared memory object's"),
        ("t_\0", "is no shared memory object's"),
        (".t_", "is no shared memory object's"),
        ("t_" + "x" * 300, "is no shared memory object's"),
        ("other", "does not begin as `--shared-memory` allows"),
        ("t_absent", "cannot be opened: No such file"),
        ("t_folder", "cannot be opened: Is a directory"),
        ("t_link", "cannot be opened: Too many levels of symbolic links"),
        ("t_pipe", "is not shared memory of the user"),
    ],
)
def test_only_objects_that_are_allowed_are_opened(
    regions: MemoryRegions, folder: Path, key: str, message: str
) -> None:
    (folder / "other").write_bytes(b"secret")
    (folder / "t_folder").mkdir()
    (folder / "t_link").symlink_to(folder / "other")
    os.mkfifo(folder / "t_pipe")
    with pytest.raises(RegionError, match=message):
        register(regions, "new", key)
    assert [region.name for region in regions.describe()] == ["in", "out"]


def test_an_object_of_another_user_is_refused(
    regions: MemoryRegions, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: (folder / "t_in").stat().st_uid + 1)
    before = count_open(folder / "t_in")
    with pytest.raises(RegionError, match="is not shared memory of the user that the server runs as"):
        register(regions, "again", "t_in")
    assert count_open(folder / "t_in") == before


@pytest.mark.parametrize(("offset", "size"), [(0, 0), (0, 25), (1, 24), (25, 1), (2**64, 1), (0, 2**64)])
def test_a_region_beyond_its_object_is_refused(
    regions: MemoryRegions, folder: Path, offset: int, size: int
) -> None:
    before = count_open(folder / "t_in")
    with pytest.raises(RegionError, match="has `24` bytes, and region `new` is to have"):
        register(regions, "new", "t_in", offset, size)
    assert count_open(folder / "t_in") == before


def test_a_name_is_registered_once(regions: MemoryRegions) -> None:
    with pytest.raises(RegionError, match="`in` is registered already"):
        register(regions, "in", "t_in")
    with pytest.raises(RegionError, match="1 to 256 characters, got `257`"):
        register(regions, "x" * 257, "t_in")


def test_regions_are_bounded_and_closed(regions: MemoryRegions, folder: Path) -> None:
    before = count_open(folder / "t_in")
    for number in range(MOST_REGIONS - 2):
        register(regions, str(number), "t_in")
    with pytest.raises(RegionError, match=f"there are {MOST_REGIONS} regions"):
        register(regions, "more", "t_in")
    asyncio.run(regions.unregister(""))
    assert regions.describe() == []
    assert (before, count_open(folder / "t_in")) == (1, 0)


def test_unregistering_ends_nothing_that_runs(regions: MemoryRegions, folder: Path) -> None:
    async def forget(inputs: Mapping[str, Array]) -> dict[str, Array]:
        await regions.unregister("in")
        return {"y": inputs["x"]}

    answer = asyncio.run(regions.run(request(IN), forget))
    assert answer.outputs["y"].tolist() == ROW.tolist()
    asyncio.run(regions.unregister("in"))
    with pytest.raises(RegionError, match="no shared memory region `in`"):
        regions.describe("in")
    assert regions.describe("out") == [RegionStatus("out", "/t_out", 4, 100)]


def test_all_inputs_together_are_bounded(folder: Path) -> None:
    (folder / "t_in").write_bytes(bytes(24))
    regions = MemoryRegions(["t_"], 24, WorkerGroup())
    register(regions, "in", "t_in", 0, 24)

    async def ask_too_much() -> list[object]:
        done = asyncio.Event()

        async def wait(inputs: Mapping[str, Array]) -> dict[str, Array]:
            await done.wait()
            return {"y": inputs["x"]}

        runs = [asyncio.create_task(regions.run(request(IN), wait)) for _ in range(LARGEST_REQUESTS + 1)]
        await asyncio.sleep(0)
        done.set()
        results = await asyncio.gather(*runs, return_exceptions=True)
        results.append(await regions.run(request(IN), wait))
        return list(results)

    errors = [result for result in asyncio.run(ask_too_much()) if isinstance(result, Exception)]
    assert [str(error) for error in errors] == [
        "all inputs in shared memory together are too large; come again"
    ]


def test_a_change_says_what_undoes_it(regions: MemoryRegions) -> None:
    group = WorkerGroup()
    other = MemoryRegions(["*"], LIMIT, group)
    undo = asyncio.run(group.broadcast("register_region", "a", "t_in", 4, 8))[0]
    assert undo == ["unregister_region", "a"]
    assert asyncio.run(group.broadcast(*undo)) == [["register_region", "a", "t_in", 4, 8]]
    assert asyncio.run(group.broadcast(*undo)) == [None]
    assert other.describe() == []


def test_without_the_setting_nothing_is_taken(folder: Path) -> None:
    (folder / "t_in").write_bytes(bytes(24))
    off = open_regions("", LIMIT, WorkerGroup())
    assert "system_shared_memory" not in off.extensions
    for ask in (
        lambda: register(off, "in", "t_in"),
        lambda: asyncio.run(off.unregister("")),
        lambda: run(off, request(IN)),
        off.describe,
    ):
        with pytest.raises(UnsupportedError, match="start the server with `--shared-memory`"):
            ask()


@pytest.mark.parametrize(
    ("names", "is_allowed"), [("t_", True), (" a , t_i,", True), ("*", True), ("in", False)]
)
def test_the_setting_names_what_names_begin_with(folder: Path, names: str, is_allowed: bool) -> None:
    (folder / "t_in").write_bytes(bytes(24))
    regions = open_regions(names, LIMIT, WorkerGroup())
    assert "system_shared_memory" in regions.extensions
    try:
        register(regions, "in", "t_in")
    except EngineError:
        assert not is_allowed
    else:
        assert is_allowed


def test_an_output_for_which_the_system_has_no_room_is_refused(
    regions: MemoryRegions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pwrite", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(RegionError, match=r"output `y` .*: No space left on device; free shared memory"):
        run(regions, request(Placement("in", ROW.nbytes), Placement("out", 100)))
