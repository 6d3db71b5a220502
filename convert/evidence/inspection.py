"""An ONNX file, read for inspection: its graph and manifest; nothing in it is run."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from adaptact.languages.recorded import retell
from adaptact.languages.spoken import say
from convert.errors import SourceError
from convert.evidence.provider_tables import describe_placement
from convert.manifest import signature
from convert.manifest.baseline import BaselineRecord, parse_baseline
from convert.manifest.decode import ManifestError
from convert.manifest.entries import BASELINE_KEY, MANIFEST_KEY
from convert.manifest.manifest import ActivationRecord, Manifest
from convert.manifest.signed_file import hash_file, read_bytes
from convert.sources.bounds import require_small_tensors


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """An ONNX file without its external data."""

    path: Path
    content: bytes
    graph: ir.Model
    manifest: Manifest | None
    """None in a file that adaptact did not write."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The entries beside the graph."""

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return self.path.name

    @property
    def digest(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def operators(self) -> Mapping[str, int]:
        """The count of each operator in the graph, the most frequent first."""
        counts = Counter(_name_operator(node) for node in self.graph.graph.all_nodes())
        return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))

    @property
    def numbers(self) -> int:
        """The count of numbers in weights and constants in the file."""
        return sum(
            value.const_value.size
            for value in self.graph.graph.initializers.values()
            if value.const_value is not None
        )

    @property
    def baseline(self) -> BaselineRecord | None:
        """What a server compares live values with: an entry of its own, else the manifest's; or None."""
        text = self.metadata.get(BASELINE_KEY)
        if text is None:
            return None if self.manifest is None else self.manifest.baseline
        try:
            return parse_baseline(text)
        except ManifestError:  # a server does without it too
            return None

    def list_facts(self) -> dict[str, str]:
        """The facts of the file by name, for people."""
        graph = self.graph
        opsets = graph.opset_imports.items()
        data = None if self.manifest is None else self.manifest.data
        sources = () if self.manifest is None else self.manifest.source_notes
        data_file = (
            {}
            if data is None
            else {say("data file"): f"{data.name}, {data.bytes:,} bytes, SHA-256 {data.sha256}"}
        )
        placement = None if self.manifest is None else self.manifest.placement
        left = {} if placement is None else {say("left to the CPU provider"): describe_placement(placement)}
        notes = {} if not sources else {say("as its source was loaded"): "; ".join(map(retell, sources))}
        return {
            say("file"): self.name,
            say("bytes"): f"{len(self.content):,}",
            "SHA-256": self.digest,
            **data_file,
            **notes,
            **left,
            say("signed by key, unchecked"): signature.read_signer(self.content) or say("nobody"),
            say(
                "written by"
            ): f"{graph.producer_name or say('unknown')} {graph.producer_version or ''}".strip(),
            say("opset"): ", ".join(f"{domain or 'ai.onnx'} {number}" for domain, number in opsets),
            say("weights and constants"): f"{self.numbers:,}",
            say("operators"): ", ".join(f"{count} {name}" for name, count in self.operators.items()),
        }


def read_onnx_file(path: Path) -> OnnxFile:
    """The file at `path`. Raises SourceError where it is no ONNX model, or its manifest cannot be read."""
    content = read_bytes(path)
    try:
        proto = onnx.load_model_from_string(content)
        require_small_tensors(proto, path)
        graph = ir.from_proto(proto)
    except (DecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"`{path}` is not an ONNX model: {_first_line(error)}") from error
    if not proto.HasField("graph") or not proto.graph.output:
        raise SourceError(f"`{path}` is not an ONNX model: it has no graph with outputs")
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    text = metadata.get(MANIFEST_KEY)
    try:
        manifest = None if text is None else Manifest.from_json(text)
        if manifest is not None:
            require_consistent(manifest)
    except ManifestError as error:
        raise SourceError(f"`{path}`: {error}") from error
    return OnnxFile(path, content, graph, manifest, metadata)


def require_consistent(manifest: Manifest) -> None:
    """Raises ManifestError where a curve lacks a value for a point, or a share has no samples."""
    for record in manifest.activations:
        _require_drawable(record)
    for output in manifest.parity.outputs:
        if output.top1 is not None and output.top1.samples < 1:
            raise ManifestError(f"the manifest has an agreement of output `{output.name}` on no samples")
    accuracy = None if manifest.rounding is None else manifest.rounding.accuracy
    if accuracy is not None and accuracy.samples < 1:
        raise ManifestError(f"the manifest has an accuracy of output `{accuracy.output}` on no samples")


def _require_drawable(record: ActivationRecord) -> None:
    points = len(record.curve.points)
    curves = (record.curve.values,) if record.start is None else (record.curve.values, record.start.curve)
    if not all(_fits(rows, points) for rows in curves):
        raise ManifestError(
            f"the manifest's curves of layer `{record.layer}` do not fit their {points} points"
        )
    values = (record.values,) if record.start is None else (record.values, record.start.values)
    if not all(numbers for learned in values for numbers in learned.values()):
        raise ManifestError(f"the manifest has a learned value of layer `{record.layer}` without numbers")
    if record.reach is not None and not (record.reach.shares and record.reach.low < record.reach.high):
        raise ManifestError(f"the manifest's histogram of layer `{record.layer}` has no bins")


def _fits(rows: Sequence[Sequence[float]], points: int) -> bool:
    return bool(rows) and points > 0 and all(len(row) == points for row in rows)


def require_data(file: OnnxFile) -> None:
    """Raises SignatureError unless the weights beside the file are those that it was written with."""
    record = None if file.manifest is None else file.manifest.data
    own = set() if record is None else {Path(record.name).name}
    named = {name: "" for name in _find_data_files(file.graph)}
    digests = named | {name: hash_file(file.path.parent / name) for name in own}
    signature.require_data(record, digests, f"`{file.name}`")


def _find_data_files(model: ir.Model) -> set[str]:
    """The other files that hold the model's tensors."""
    tensors = [value.const_value for graph in model.graphs() for value in graph.initializers.values()]
    tensors += [
        attribute.value
        for node in model.graph.all_nodes()
        for attribute in node.attributes.values()
        if attribute.type == ir.AttributeType.TENSOR
    ]
    return {str(tensor.location) for tensor in tensors if isinstance(tensor, ir.ExternalTensor)}


def _name_operator(node: ir.Node) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
