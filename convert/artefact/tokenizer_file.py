"""The tokenizer beside an ONNX file, where the server finds it."""

from pathlib import Path

from adaptact.files import write_text


def name_tokenizer_file(destination: Path) -> Path:
    """`tokenizer.json` beside a `model.onnx`, as in a folder of its own; else `<stem>.tokenizer.json`."""
    name = "tokenizer.json" if destination.name == "model.onnx" else f"{destination.stem}.tokenizer.json"
    return destination.with_name(name)


def write_tokenizer(destination: Path, content: str | None) -> None:
    """The file beside `destination` holds the content; without any, nothing is written."""
    if content is not None:
        write_text(name_tokenizer_file(destination), content)
