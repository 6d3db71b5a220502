"""A report as one HTML file that needs nothing else: read on a screen, printed, or kept for an audit."""

import base64
from collections.abc import Sequence
from importlib import resources

from adaptact.languages.spoken import say, spoken
from adaptact.report.drawing import draw_png, draw_svg, find_font
from adaptact.report.parts import LONGEST_SHORT_CELL, Part, Picture, Section
from adaptact.style import read_style
from adaptact.text import escape, isolate

LARGEST_SVG = 400_000
"""The most bytes of a drawing; a larger one is stored as pixels, since browsers and printers slow down."""
_FEW_SECTIONS = 4
_LONGEST_FOOTER = 80


def render_html(
    title: str, sections: Sequence[Section], subtitle: str = "", lead: Sequence[Part] = ()
) -> str:
    """The report in the language that is spoken: equal content gives equal text, on any day and machine.

    `lead` stands before the first section. All text is escaped. Figures are images within the file, each on
    white in the light and the dark scheme; charts follow the scheme.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415  # only reports need it

    environment = Environment(
        loader=FunctionLoader(_read_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: isolate(escape(value, longest=None)) if type(value) is str else value,
    )
    return environment.get_template("page.html.j2").render(
        language=spoken(),
        style=read_style("tokens") + read_style("report"),
        footer=_quote_for_css(escape(title, longest=_LONGEST_FOOTER)),
        title=title,
        subtitle=subtitle,
        lead=lead,
        sections=sections,
        contents=say("Contents") if len(sections) > _FEW_SECTIONS else "",
        address=address_picture,
        longest=LONGEST_SHORT_CELL,
    )


def address_picture(picture: Picture) -> str:
    """The drawing as a data address: SVG, or PNG where that would be larger than LARGEST_SVG."""
    drawing = draw_svg(picture.draw)
    if len(drawing) <= LARGEST_SVG or (spoken() == "ja" and not find_font()):
        return _make_address("image/svg+xml", drawing)
    return _make_address("image/png", draw_png(picture.draw))


def _quote_for_css(text: str) -> str:
    """The text within a string of CSS within HTML: neither takes any of it for its own."""
    return "".join(
        character if character.isalnum() and character.isascii() else f"\\{ord(character):x} "
        for character in text
    )


def _read_template(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _make_address(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
