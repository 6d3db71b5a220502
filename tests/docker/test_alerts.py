"""The alerts of Prometheus, judged by Prometheus' own tool where it is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.docker.paths import DOCKER

CASES = Path(__file__).with_name("alerts.yaml")
RULES = DOCKER / "prometheus" / "alerts.yaml"
PROMTOOL = shutil.which("promtool")


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    cases = yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
    fired = {
        check["alertname"] for case in cases for check in case["alert_rule_test"] if "exp_alerts" in check
    }
    assert fired == {rule["alert"] for group in groups for rule in group["rules"]}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian's package prometheus) is not installed")
def test_alerts_fire_when_they_should_and_not_before() -> None:
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(CASES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian's package prometheus) is not installed")
@pytest.mark.parametrize("name", ["prometheus.yaml", "secured.yaml"])
def test_prometheus_understands_its_configuration(name: str) -> None:
    command = [str(PROMTOOL), "check", "config", "--syntax-only", str(DOCKER / "prometheus" / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
