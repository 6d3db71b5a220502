"""Fuzzes every target for so many executions: `python -m tests.serve.fuzz COUNT [TARGET ...]`."""

import subprocess
import sys
import time

from tests.serve.fuzz.targets import TARGETS


def main(count: int, names: list[str]) -> int:
    """How many targets failed; what they failed of is printed."""
    failed = 0
    for name in names:
        began = time.monotonic()
        executions = count // TARGETS[name].cost
        command = [sys.executable, "-m", "tests.serve.fuzz.run", name, str(executions)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        outcome = "ok" if ran.returncode == 0 else f"failed\n{ran.stdout[-2000:]}{ran.stderr[-4000:]}"
        sys.stdout.write(f"{name}: {executions} executions in {seconds:.0f} s: {outcome}\n")
        sys.stdout.flush()
        failed += ran.returncode != 0
    return failed


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), sys.argv[2:] or list(TARGETS)))
