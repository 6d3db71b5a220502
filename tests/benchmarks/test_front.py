from xml.etree import ElementTree

from benchmarks.front import to_svg
from convert.evidence.front_tables import draw_front
from tests.convert.evidence.test_front_tables import FRONT


def test_the_drawing_is_a_file_of_its_own() -> None:
    scatter = draw_front(FRONT, 0.0)
    assert scatter is not None
    root = ElementTree.fromstring(to_svg(scatter))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    style = root.findtext("{http://www.w3.org/2000/svg}style") or ""
    drawn = {word for element in root.iter() for word in element.get("class", "").split()} - {"chart"}
    assert {name for name in drawn if f".{name} {{" not in style} == set()
    assert "prefers-color-scheme: dark" in style
