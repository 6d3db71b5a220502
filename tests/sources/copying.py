"""What is done to the program that copies, by itself; a drill that fails raises AssertionError."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from serve.sources.options import SourceOptions
from serve.sources.status import read_status
from tests.sources.rows import Row, put_models
from tests.sources.servers import Program, make_moto, make_rclone, run_shell, running

LARGE_BYTES = 256 * 2**20


def kill_at_work(folder: Path) -> Iterator[Row]:
    """The program that copies is killed at moments of a large download."""
    bucket = make_moto(folder)
    large = folder / "models" / "large" / "1"
    large.mkdir(parents=True)
    (large / "model.onnx").write_bytes(b"")
    with (large / "weights").open("wb") as stream:
        for _ in range(LARGE_BYTES // 2**20):
            stream.write(os.urandom(2**20))
    options = SourceOptions("s3://models", folder / "copy")
    with running(bucket):
        run_shell(
            "aws s3 mb s3://models; aws s3 cp --recursive models s3://models", folder, bucket.environment
        )
        kills = 0
        for delay in (0.5, 0.8, 1.1, 1.4, 1.7, 2.0):
            run = _start_copying(options, bucket)
            time.sleep(delay)
            kills += run.poll() is None
            run.send_signal(signal.SIGKILL)
            run.wait()
            found = [path.name for path in (folder / "copy").glob("large/1/*")]
            assert found in ([], ["model.onnx", "weights"], ["weights", "model.onnx"]), found
        began = time.monotonic()
        run = _start_copying(options, bucket)
        assert run.wait() == 0
        seconds = time.monotonic() - began
    assert (folder / "copy/large/1/weights").stat().st_size == LARGE_BYTES
    assert not list((folder / "copy/.source").glob("arriving*"))
    yield Row(
        f"SIGKILL for the program that copies, at {kills} moments of {LARGE_BYTES // 2**20} MiB",
        f"never half a version in the folder; the next run takes it, in {seconds:.1f} s",
    )


def share_folder(folder: Path) -> Iterator[Row]:
    """Two programs bring one copy up to date at the same moment."""
    bucket = make_moto(folder)
    put_models(folder)
    options = SourceOptions("s3://models", folder / "copy")
    with running(bucket):
        run_shell(
            "aws s3 mb s3://models; aws s3 cp --recursive models s3://models", folder, bucket.environment
        )
        runs = [_start_copying(options, bucket, "first") for _ in range(4)]
        assert [run.wait() for run in runs] == [0] * 4
    status = read_status(options.folder)
    assert (status.is_up, status.refusals) == (True, {})
    yield Row(
        "four programs copy into one folder at once",
        f"each file is fetched once: {status.bytes} bytes in all",
    )


def measure_look(folder: Path) -> Iterator[Row]:
    """A look at a source where nothing is new."""
    bucket = make_moto(folder)
    put_models(folder)
    options = SourceOptions("s3://models", folder / "copy")
    with running(bucket):
        run_shell(
            "aws s3 mb s3://models; aws s3 cp --recursive models s3://models", folder, bucket.environment
        )
        seconds, largest = [], 0
        for _ in range(6):
            run = _start_copying(options, bucket)
            _, status, usage = os.wait4(run.pid, 0)
            run.returncode = status
            assert status == 0
            seconds.append(usage.ru_utime + usage.ru_stime)
            largest = max(largest, usage.ru_maxrss)
    yield Row(
        "a look where nothing is new, median of five",
        f"{median(seconds[1:]):.2f} s of a core, {largest // 1024} MiB until it ends",
    )


def list_very_many(folder: Path) -> Iterator[Row]:
    """A bucket of a hundred thousand objects."""
    bucket = make_rclone(folder)
    many = folder / "buckets" / "models" / "digits"
    for version in range(1, 1001):
        (many / str(version)).mkdir(parents=True)
        for number in range(100):
            (many / str(version) / str(number)).touch()
    options = SourceOptions("s3://models", folder / "copy")
    with running(bucket):
        began = time.monotonic()
        assert _start_copying(options, bucket).wait() == 1
        seconds = time.monotonic() - began
    assert "more than 20000 files" in read_status(options.folder).error
    yield Row("a bucket of 100,000 objects", f"an error after {seconds:.1f} s, with what to do")


def _start_copying(options: SourceOptions, bucket: Program, *arguments: str) -> "subprocess.Popen[str]":
    run = subprocess.Popen(
        [sys.executable, "-m", "serve.workers.copy_program", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **bucket.environment},
    )
    assert run.stdin is not None
    run.stdin.write(options.to_json())
    run.stdin.close()
    return run
