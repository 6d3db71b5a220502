"""No text of a file reaches the terminal with a control character in it, whatever command reads the file."""

import json
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from adaptact.exit_codes import FAILED, FINE, PARITY_FAILED, WRONG_USE
from adaptive_act import PReLU, model_factory, save, swap
from convert.commands import export, inspect, verify
from convert.pipeline import convert
from tests.adaptact.hostile import CLEAR, CSI, MARKUP, REVERSED, TITLE
from tests.convert.keys import write_keys
from tests.convert.sources.files import rewrite_archive, write_program, write_torchscript

NAME = f"{TITLE}{CLEAR}{CSI}{REVERSED}\x08"  # of a layer: with a line break in it torch's exporter fails
HOSTILE = f"{NAME}\r{MARKUP}"
FREE_KEYS = ("options", "preprocessing", "used", "values", "versions")
COMMANDS: dict[str, Callable[[], None]] = {
    "export": export.main,
    "verify": verify.main,
    "inspect": inspect.main,
}


@model_factory
def build_network(seed: int = 0) -> nn.Sequential:
    """[N, 4] -> [N, 3]; every layer has a hostile name."""
    torch.manual_seed(seed)
    layers = {"first": nn.Linear(4, 16), "activation": nn.ReLU(), "last": nn.Linear(16, 3)}
    return nn.Sequential(OrderedDict((NAME + name, layer) for name, layer in layers.items())).eval()


def save_network(path: Path, seed: int = 0, **fields: object) -> Path:
    """A checkpoint with hostile names of layers, classes and replaced modules; `fields` replace others."""
    save(
        swap(build_network(seed), {nn.ReLU: PReLU}).model,
        path,
        factory=f"{__name__}:build_network",
        factory_kwargs={"seed": seed},
        inputs=[{"name": "x", "dtype": "float32", "shape": [None, 4]}],
        outputs=["y"],
        classes=[HOSTILE, "b", "c"],
    )
    content = torch.load(path, weights_only=True)
    for site in content["swap"]:
        site["replaced"] = HOSTILE
    torch.save(content | fields, path)
    return path


def poison(value: Any, *, poison_keys: bool = False) -> Any:
    """The JSON with hostile text before every string, and every key that a manifest leaves free."""
    if isinstance(value, dict):
        prefix = HOSTILE if poison_keys else ""
        return {
            prefix + key: item if key == "format" else poison(item, poison_keys=key in FREE_KEYS)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [poison(item) for item in value]
    return HOSTILE + value if isinstance(value, str) else value


def poison_onnx(source: Path, path: Path, change: Callable[[Any], object] = lambda manifest: None) -> Path:
    """The file with hostile text in its manifest, names, metadata and producer."""
    proto = onnx.load(source)
    for entry in proto.metadata_props:
        if entry.key == "adaptact.manifest":
            manifest = poison(json.loads(entry.value))
            change(manifest)
            entry.value = json.dumps(manifest)
    proto.metadata_props.add(key=HOSTILE, value=HOSTILE)
    proto.producer_name = proto.producer_version = proto.graph.name = proto.graph.doc_string = HOSTILE
    for node in proto.graph.node:
        node.name = HOSTILE + node.name
        node.input[:] = [HOSTILE + name for name in node.input]
        node.output[:] = [HOSTILE + name for name in node.output]
    for value in (*proto.graph.initializer, *proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        value.name = HOSTILE + value.name
    onnx.save(proto, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hostile files of every kind that the commands read."""
    folder = tmp_path_factory.mktemp("hostile")
    model = save_network(folder / "model.pt")
    save_network(folder / "other.pt", seed=1)
    save_network(folder / "inputs.pt", inputs=[{"name": HOSTILE, "dtype": "float32", "shape": [None, 4]}])
    save_network(folder / "fields.pt", factory=f"{HOSTILE}:{HOSTILE}")
    write_program(folder / "model.pt2", build_network())
    write_torchscript(folder / "model.ts", build_network(1))
    rewrite_archive(write_program(folder / "damaged.pt2"), lambda name, _: HOSTILE.encode("utf-8", "replace"))
    rewrite_archive(
        write_torchscript(folder / "damaged.ts"), lambda name, _: HOSTILE.encode("utf-8", "replace")
    )
    convert(model, folder / "model.onnx")
    poison_onnx(
        folder / "model.onnx",
        folder / "poisoned.onnx",
        lambda manifest: manifest["parity"]["coverage"].update(reasons=[HOSTILE], unseen=[HOSTILE]),
    )
    poison_onnx(
        folder / "model.onnx",
        folder / "inconsistent.onnx",
        lambda manifest: manifest["activations"][0]["curve"]["points"].pop(),
    )
    arrays: dict[str, Any] = {HOSTILE: np.ones(3)}
    np.savez(folder / "wrong.npz", **arrays)
    np.savez(folder / "samples.npz", x=np.eye(3, 4, dtype=np.float32), **arrays)
    write_keys(folder)
    (folder / "hostile.pem").write_text(f"-----BEGIN {HOSTILE}-----\n{HOSTILE}\n", newline="")
    return folder


CASES: dict[str, tuple[int, str]] = {
    "export a checkpoint": (FINE, "export model.pt new.onnx"),
    "export with calibration": (FINE, "export model.pt new.onnx --precision int8 --calibration samples.npz"),
    "export inputs": (WRONG_USE, "export inputs.pt new.onnx"),
    "export a factory": (FAILED, "export fields.pt new.onnx"),
    "export a graph": (FAILED, "export poisoned.onnx new.onnx"),
    "export a program": (FAILED, "export model.pt2 new.onnx"),
    "export a damaged program": (FAILED, "export damaged.pt2 new.onnx"),
    "export TorchScript": (FAILED, "export model.ts new.onnx --input x:float32[N,4]"),
    "export damaged TorchScript": (FAILED, "export damaged.ts new.onnx --input x:float32[N,4]"),
    "export samples": (FINE, "export model.pt new.onnx --samples samples.npz"),
    "export wrong samples": (WRONG_USE, "export model.pt new.onnx --samples wrong.npz"),
    "export a key": (WRONG_USE, "export model.pt new.onnx --sign hostile.pem"),
    "export budgets": (PARITY_FAILED, "export model.pt new.onnx --precision int8 --max-error 0"),
    "verify a checkpoint": (FINE, "verify model.pt model.onnx"),
    "verify a program": (FAILED, "verify model.pt2 model.onnx"),
    "verify another model": (PARITY_FAILED, "verify other.pt model.onnx"),
    "verify TorchScript": (FAILED, "verify model.ts model.onnx"),
    "verify a poisoned file": (WRONG_USE, "verify model.pt poisoned.onnx"),
    "verify an inconsistent file": (FAILED, "verify model.pt inconsistent.onnx"),
    "verify wrong samples": (WRONG_USE, "verify model.pt model.onnx --samples wrong.npz"),
    "verify a key": (WRONG_USE, "verify model.onnx --public-key hostile.pem"),
    "verify no signature": (FAILED, "verify poisoned.onnx --public-key 1.pub"),
    "inspect a checkpoint": (FINE, "inspect model.pt"),
    "inspect a checkpoint's pictures": (FINE, "inspect model.pt --output pictures"),
    "inspect fields": (FAILED, "inspect fields.pt"),
    "inspect a checkpoint's samples": (FAILED, "inspect model.pt --data wrong.npz"),
    "inspect a program": (FAILED, "inspect model.pt2"),
    "inspect a poisoned file": (FINE, "inspect poisoned.onnx --html new.html --graph new.svg"),
    "inspect an inconsistent file": (FAILED, "inspect inconsistent.onnx"),
}


@pytest.mark.slow
@pytest.mark.parametrize("is_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("case", CASES)
def test_no_control_character_is_printed(
    case: str,
    is_json: bool,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    expected, line = CASES[case]
    command, *arguments = line.split()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [f"adaptact-{command}", *arguments, *(["--json"] if is_json else [])])
    with pytest.raises(SystemExit) as exit_info:
        COMMANDS[command]()
    out, err = capfd.readouterr()
    assert (exit_info.value.code or 0) == expected, err
    assert [character for character in out + err if not character.isprintable() and character != "\n"] == []
