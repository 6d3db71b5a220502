from typing import Any

from benchmarks.provider_page import make_tables
from benchmarks.provider_steps import AUTO, PEER


def _cell(chosen: str, loss: float, **ratios: float) -> dict[str, Any]:
    return {
        "milliseconds": {"torch": 2.0},
        "to_torch": {"torch": 1.0, **ratios},
        "to_better": loss,
        "chosen": [chosen, 1],
        "rounds": 9,
        "failed": {PEER: "not installed"},
    }


def test_the_page_sums_up_what_auto_gained_and_where_it_lost() -> None:
    cells = {
        "1, 1": _cell("openvino", 1.0, cpu=1.0, openvino=0.5, **{AUTO: 0.5}),
        "8, 2": _cell("cpu", 1.04, cpu=0.8, openvino=0.77, **{AUTO: 0.8}),
    }
    net = {"cells": cells, "exports": {}, "compiled": {"failed": "no compiler"}}
    summary, each, failures = make_tables({"net": net})
    rows = list(zip(*(column.cells for column in summary.columns), strict=True))
    assert ("auto", "0.63", "0.80", "2") in rows
    assert ("auto / better; 1 of 2 above 1.03", "1.02", "1.04", "2") in rows
    assert (PEER, "", "", "0") in rows
    assert list(each.columns[-1].cells) == ["openvino", "cpu, 1 thread"]
    assert list(failures.columns[2].cells) == ["not installed", "no compiler"]
