"""Coverage-guided fuzzing of one target with atheris, for so many executions.

Run as `python -m tests.serve.fuzz.run TARGET COUNT`. All but a value or an `EngineError` ends it.
"""

import sys
import tempfile
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]  # not for every Python

with atheris.instrument_imports(include=["serve.protocol", "serve.grpc", "serve.http2"]):
    from serve.engine.errors import EngineError
    from tests.serve.fuzz.targets import TARGETS

MAX_BYTES = 4096
MEMORY_MIB = 2048
SECONDS = 20


def main(name: str, count: int) -> None:
    """Run; the process ends with 0 where every execution did as it should."""
    target = TARGETS[name]
    read = 0

    def one(data: bytes) -> None:
        nonlocal read
        try:
            target.read(data)
            read += 1
        except EngineError:
            pass

    with tempfile.TemporaryDirectory() as folder:
        for number, good in enumerate(target.good):
            (Path(folder) / str(number)).write_bytes(good)
        options = {
            "runs": count,
            "max_len": MAX_BYTES,
            # Beyond the peak so far, which a process inherits from the one that starts it.
            "rss_limit_mb": MEMORY_MIB + getrusage(RUSAGE_SELF).ru_maxrss // 1024,
            "timeout": SECONDS,
            "seed": 1,
            "verbosity": 0,
            "artifact_prefix": f"{folder}/",  # what ended it is also written out, in base64
        }
        arguments = [sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), folder]
        atheris.Setup(arguments, one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
