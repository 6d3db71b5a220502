"""What docs/describing.md says is so."""

import re
import tomllib
from pathlib import Path

import pytest

from convert.manifest.preprocessing import Preprocessing, decode_preprocessing
from serve.engine.config import DESCRIBING
from serve.engine.description_files import PRESETS
from serve.engine.repository import DESCRIBING as SUFFIXES
from serve.engine.tokenizer import IDS, MASK, TYPES
from serve.engine.tokenizer_link import ENCODE_SECONDS, MEMORY_BYTES
from serve.protocol.images import IMAGE_PIXELS, REQUEST_IMAGES, REQUEST_PIXELS, REQUEST_VALUES
from serve.protocol.texts import REQUEST_CHARACTERS, REQUEST_TEXTS, TEXT_CHARACTERS

PAGE = (Path(__file__).parents[2] / "docs" / "describing.md").read_text()
TEXT = " ".join(PAGE.split())


@pytest.mark.parametrize(
    "stated",
    [
        f"at most {IMAGE_PIXELS} pixels in one image, before and after it is resized, and {REQUEST_PIXELS}",
        f"in at most {REQUEST_IMAGES} images, and at most {REQUEST_VALUES} values in the resulting tensor",
        f"at most {TEXT_CHARACTERS} characters, the texts of a request {REQUEST_CHARACTERS}, and",
        f"and there are at most {REQUEST_TEXTS}.",
        f"it may take {MEMORY_BYTES // 2**30} GiB, and {ENCODE_SECONDS:g} s for a request",
        f"ends in `{SUFFIXES[0]}` or `{SUFFIXES[1]}`",
        f"the inputs `{IDS}`, and perhaps `{MASK}` and `{TYPES}`",
        "| `config.toml` in the model's folder | you, for a file that others exported | classes, columns, "
        "preprocessing, outputs, tokenizer |",
    ],
)
def test_what_is_stated_holds(stated: str) -> None:
    assert stated in TEXT
    assert set(DESCRIBING) == {"classes", "columns", "preprocessing", "outputs", "tokenizer"}


def test_the_table_of_preprocessing_has_every_key() -> None:
    section = PAGE.split("## Images\n", 1)[1].split("\n## ", 1)[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {name for cell in cells for name in re.findall("`([^`]+)`", cell)} == set(
        Preprocessing.__dataclass_fields__
    )


def test_its_tables_of_toml_are_read() -> None:
    tables = [tomllib.loads(block) for block in re.findall("```toml\n(.*?)```", PAGE, re.DOTALL)]
    model, photos = tables
    assert set(model) <= set(DESCRIBING)
    assert model["preprocessing"] in PRESETS
    assert decode_preprocessing(photos["preprocessing"]).crop == (224, 224)
