"""The demo of an experiment, shortened: the same path as `make demo-experiment` runs it."""

from pathlib import Path

import pytest

from examples.experiment import variants
from examples.experiment.__main__ import main
from tests.examples.running import run


@pytest.mark.slow
def test_the_better_model_is_found_and_promoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "ROUNDS", 1)  # the worse the control is, the fewer units show it
    printed = run(main, "--units", "500", "--output", str(tmp_path))
    assert "better: adaptive is better than relu" in printed
    assert (tmp_path / "band.png").stat().st_size > 10_000
