import pytest
from onnxscript import TracedOnnxFunction
from onnxscript.function_libs.torch_lib.ops.core import aten_abs as function

from convert.errors import ExportError
from convert.sources.torchlib import skip_parsing
from tests.convert.models import classifier, export_model


def test_a_function_is_parsed_only_where_more_than_its_domain_is_asked() -> None:
    assert isinstance(function, TracedOnnxFunction)
    parsed = function.function_ir
    with skip_parsing():
        assert function.function_ir.domain == parsed.domain
        assert function.function_ir.name == parsed.name
    assert type(function.function_ir) is type(parsed)


@pytest.mark.slow
def test_an_export_parses_no_translation(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[object] = []

    def parse(function: TracedOnnxFunction) -> object:
        parsed.append(function)
        raise ExportError("a translation was parsed")

    monkeypatch.setattr(TracedOnnxFunction, "function_ir", property(parse))
    assert export_model(classifier()).graph.num_nodes() > 0
    assert not parsed
