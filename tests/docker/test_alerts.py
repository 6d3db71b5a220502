"""The alerts of Prometheus, judged by Prometheus' own tool where it is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.docker.paths import DOCKER, ROOT

CASES = Path(__file__).with_name("alerts.yaml")
RULES = DOCKER / "prometheus" / "alerts.yaml"
PROMTOOL = shutil.which("promtool")


ALERTS = {
    rule["alert"]
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    cases = yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
    fired = {
        check["alertname"] for case in cases for check in case["alert_rule_test"] if "exp_alerts" in check
    }
    assert fired == ALERTS


def test_the_runbook_says_what_to_do_at_every_alert() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## (Adaptact\w+)$", page, re.M)) == ALERTS


@pytest.mark.slow
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
