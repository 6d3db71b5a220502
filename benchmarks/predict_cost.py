"""What reading the instances of a `:predict` request costs: numbers, rows of a table, texts, an image.

From the request's body to the model's inputs, in the server's own code and process, without a socket and
without the model. Each turn measures every kind in turn. Prints a table and writes
docs/results/predict_cost.{md,json}.
"""

import asyncio
import base64
import gc
import io
import json
import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from onnx.parser import parse_model
from PIL import Image
from prometheus_client import CollectorRegistry
from rich import box
from rich.progress import track
from rich.table import Table
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from benchmarks.results import publish
from serve.engine import Engine, EngineOptions, Metrics, open_engine
from serve.rest.instances import InstanceReader

HEAD = '<ir_version: 10, opset_import: ["": 20]> '
GRAPHS = {
    "rows": "m (float[N, 3] x) => (float[N, 3] y) { y = Add(x, x) }",
    "columns": "m (float[N, 1] a, float[N, 1] b, float[N, 1] c) => (float[N, 1] y) { y = Sum(a, b, c) }",
    "texts": "m (int64[N, L] input_ids, int64[N, L] attention_mask) => (int64[N, L] y)"
    " { y = Add(input_ids, attention_mask) }",
    "images": "m (float[N, 3, 224, 224] x) => (float[N, 3, 224, 224] y) { y = Identity(x) }",
}
CONFIGS = {"rows": 'columns = ["a", "b", "c"]', "images": 'preprocessing = "imagenet"'}
ROW = {"a": 1.5, "b": 2.5, "c": 3.5}
WORDS = [f"word{number}" for number in range(20_000)]


def main(
    turns: Annotated[int, typer.Option(min=1, help="How often everything is measured.")] = 7,
    requests: Annotated[int, typer.Option(min=1, help="Requests in one measurement.")] = 100,
) -> None:
    """Measure and publish."""
    with tempfile.TemporaryDirectory() as folder:
        _put_models(Path(folder))
        engine = open_engine(EngineOptions(Path(folder)), Metrics(CollectorRegistry()))
        try:
            costs = asyncio.run(_measure(engine, turns, requests))
        finally:
            engine.close()
    # Most requests wait for a core where others work on the machine: the quickest tenth does not.
    _publish({kind: statistics.quantiles(times, n=10)[0] for kind, times in costs.items()})


def _put_models(folder: Path) -> None:
    for name, graph in GRAPHS.items():
        path = folder / name / "1" / "model.onnx"
        path.parent.mkdir(parents=True)
        path.write_bytes(parse_model(HEAD + graph).SerializeToString())
        if name in CONFIGS:
            (folder / name / "config.toml").write_text(CONFIGS[name])
    _make_tokenizer().save(str(folder / "texts" / "tokenizer.json"))


def _make_tokenizer() -> Tokenizer:
    """Of words and pieces of them, as BERT's."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS])}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def _make_requests() -> dict[str, tuple[str, list[Any]]]:
    """For each kind the model, and the instances."""
    y, x = np.mgrid[:480, :640]
    picture = np.stack([y // 2, x // 3, (x + y) // 5], -1).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG")
    image = {"b64": base64.b64encode(stream.getvalue()).decode()}
    text = " ".join(WORDS[::1000])
    return {
        "3 numbers": ("rows", [list(ROW.values())]),
        "100 rows of 3 numbers": ("rows", [list(ROW.values())] * 100),
        "a row of 3 columns, one input": ("rows", [ROW]),
        "100 rows of 3 columns, one input": ("rows", [ROW] * 100),
        "a row of 3 columns, an input each": ("columns", [ROW]),
        "100 rows of 3 columns, an input each": ("columns", [ROW] * 100),
        f"a text of {len(text)} characters": ("texts", [text]),
        f"32 texts of {len(text)} characters": ("texts", [text] * 32),
        "a JPEG of 640 × 480, to 224 × 224": ("images", [image]),
    }


async def _measure(engine: Engine, turns: int, requests: int) -> dict[str, list[float]]:
    """Microseconds of every request of each kind."""
    gc.collect()
    gc.freeze()  # as a server does
    reader = InstanceReader()
    bodies = {
        kind: (engine.model(name), json.dumps({"instances": instances}).encode())
        for kind, (name, instances) in _make_requests().items()
    }
    costs: dict[str, list[float]] = {kind: [] for kind in bodies}
    for _ in track(range(turns), description="turns"):
        for kind, (model, body) in bodies.items():
            for _ in range(requests):
                start = perf_counter()
                await (await reader.parse(body)).read(model)
                costs[kind].append(1e6 * (perf_counter() - start))
    return costs


def _publish(costs: dict[str, float]) -> None:
    table = Table(box=box.MARKDOWN)
    for column in ("instances of a request", "to the model's inputs", "/ 3 numbers"):
        table.add_column(column, justify="left" if not table.columns else "right")
    plain = costs["3 numbers"]
    for kind, cost in costs.items():
        table.add_row(kind, f"{cost:,.0f} µs", f"{cost / plain:,.1f}")
    numbers = {kind: round(cost, 1) for kind, cost in costs.items()}
    publish("predict_cost", "Reading `:predict` requests; what the quickest tenth took", table, numbers)


if __name__ == "__main__":
    typer.run(main)
