"""Puts measured tables into the READMEs and docs/measured.md, between marks with their names: `make docs`."""

import re
from collections.abc import Callable
from itertools import dropwhile, takewhile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "README.ja.md", ROOT / "docs" / "measured.md")
JAPANESE = {
    "test digits right, of 599": "正解したテスト文字（599 文字中）",
    "weights + learned activation parameters": "重み + 活性化関数の学習パラメーター",
    "training after the swap, s": "組み込み後の学習（秒）",
    "file's error, share of what parity allows": "ファイルの誤差（許容値に対する割合）",
    "served answers equal to PyTorch's": "PyTorch と等しい応答",
    "their largest difference / largest logit": "最大の差／最大のロジット",
    "one prediction, adaptact's file, µs": "推論 1 回、adaptact のファイル（µs）",
    "one prediction, torch.onnx.export's file, µs": "推論 1 回、torch.onnx.export のファイル（µs）",
    "one prediction over HTTP, ms": "HTTP での推論 1 回（ms）",
    "activation": "活性化関数",
}
"""The first cells of the tables in README.ja.md; the numbers are those of the English page."""
MARKED = re.compile(r"(<!-- table of (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def insert_tables(text: str, change: Callable[[str], str] = str) -> str:
    """The text with the table of each named file, changed so, between its marks."""
    return MARKED.sub(lambda match: f"{match[1]}\n{change(_read_table(ROOT / match[2]))}\n\n{match[3]}", text)


def translate_table(text: str) -> str:
    """The table with its first cells in Japanese; one that is not known stays as it is."""
    rows = (line.split("|") for line in text.splitlines())
    return "\n".join("|".join([row[0], _translate(row[1]), *row[2:]]) for row in rows)


def _translate(cell: str) -> str:
    known = JAPANESE.get(cell.strip())
    return cell if known is None else f" {known} "


def _read_table(path: Path) -> str:
    """The page's first table."""
    lines = path.read_text(encoding="utf-8").splitlines()
    table = dropwhile(lambda line: not line.startswith("|"), lines)
    return "\n".join(takewhile(lambda line: line.startswith("|"), table))


if __name__ == "__main__":
    for page in PAGES:
        change = translate_table if page.name == "README.ja.md" else str
        page.write_text(insert_tables(page.read_text(encoding="utf-8"), change), encoding="utf-8")
