"""The alert rules we offer ask for metrics that there are."""

import re
from pathlib import Path

import pytest
import yaml

from telemetry.metrics import SETTLE_METRICS, WATCH_METRICS, WORKER_METRICS

FILE = Path(__file__).parents[2] / "docs" / "prometheus-rules.yaml"
METRICS = {
    metric.full_name: metric for metric in (*SETTLE_METRICS, *WORKER_METRICS, *WATCH_METRICS)
}
RULES = [rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_rule(rule):
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    (name,) = re.findall(r"headgate_\w+", rule["expr"])
    metric = METRICS[name]
    asked = re.findall(r"[{,]\s*(\w+)=", rule["expr"]) + re.findall(r"by \((\w+)\)", rule["expr"])
    shown = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
    assert {*asked, *shown} <= set(metric.labels)
    assert rule["labels"]["severity"] in ("warning", "critical")
