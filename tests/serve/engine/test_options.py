import asyncio
import dataclasses
import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from convert.artefact.signing import sign
from convert.manifest.manifest import FORMAT, DataRecord, Manifest, OutputRecord, ParityRecord
from convert.manifest.records import CoverageRecord
from serve.engine.errors import PolicyError, RepositoryError
from serve.engine.options import Policies
from tests.serve import models
from tests.serve.engine.conftest import Opened

OUTPUT = OutputRecord(
    name="y",
    scale=1.0,
    original_error=1e-7,
    file_error=1e-7,
    allowed=4e-7,
    tolerance=None,
    worst_set="typical",
    quantiles={},
)
MANIFEST = Manifest(
    format=FORMAT,
    source_digest="0" * 64,
    versions={},
    opset=20,
    precision="fp32",
    inputs=(),
    outputs=(),
    classes=None,
    preprocessing=None,
    activations=(),
    fired=(),
    declined=(),
    parity=ParityRecord("4x", (OUTPUT,), ()),
)


@dataclasses.dataclass(frozen=True)
class Keys:
    private: Path
    public: Path


@pytest.fixture
def keys(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Keys]:
    """Makes a pair of keys by a name, in a folder of their own."""
    folder = tmp_path_factory.mktemp("keys")

    def made(name: str) -> Keys:
        key, pair = Ed25519PrivateKey.generate(), Keys(folder / f"{name}.pem", folder / f"{name}.pub")
        pair.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        pair.public.write_bytes(public)
        return pair

    return made


def _model(manifest: Manifest | None = MANIFEST, made: onnx.ModelProto | None = None) -> bytes:
    made = made or models.model(models.DOUBLE)
    if manifest is not None:
        models.with_manifest(made, dataclasses.asdict(manifest))
    return bytes(made.SerializeToString())


def _with(**changes: Any) -> Manifest:
    parity = dataclasses.replace(MANIFEST.parity, outputs=(dataclasses.replace(OUTPUT, **changes),))
    return dataclasses.replace(MANIFEST, parity=parity)


def _refusal(opened: Opened, **policies: Any) -> str:
    with pytest.raises(RepositoryError) as error:
        opened(policies=Policies(**policies))
    return str(error.value)


def test_what_passed_parity_is_served(tmp_path: Path, opened: Opened) -> None:
    models.put(tmp_path, "m", _model())
    assert opened(policies=Policies(require_parity=True)).names() == ["m"]


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (None, "parity is required, and the file's manifest shows none"),
        (
            dataclasses.replace(MANIFEST, parity=ParityRecord("", (), ())),
            "parity is required, and the file's manifest shows none",
        ),
        (_with(file_error=5e-7), "output `y` has error 5e-07, allowed 4e-07"),
        (dataclasses.replace(MANIFEST, format="other/1"), "its manifest cannot be read"),
    ],
)
def test_required_parity_must_have_passed(
    tmp_path: Path, opened: Opened, manifest: Manifest | None, reason: str
) -> None:
    models.put(tmp_path, "m", _model(manifest))
    assert reason in _refusal(opened, require_parity=True)
    assert opened().names() == ["m"]


def _with_coverage(coverage: CoverageRecord | None) -> Manifest:
    return dataclasses.replace(MANIFEST, parity=dataclasses.replace(MANIFEST.parity, coverage=coverage))


STRONG = CoverageRecord(reasons=(), weights=4, tried=4, unseen=(), integers=())
WEAK = dataclasses.replace(STRONG, reasons=("input `mask` moves no output", "another"))


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (None, "parity is required, and the file's manifest shows none"),
        (_with_coverage(None), "the file is of a version that did not examine it"),
        (_with_coverage(WEAK), "it is weak: input `mask` moves no output, and 1 more reasons"),
        (
            _with_coverage(dataclasses.replace(WEAK, reasons=("\x1b[2J",))),
            "it is weak: \N{REPLACEMENT CHARACTER}[2J",
        ),
        (_with(file_error=5e-7), "output `y` has error 5e-07, allowed 4e-07"),
    ],
)
def test_weak_parity_is_refused_where_strong_is_required(
    tmp_path: Path, opened: Opened, manifest: Manifest | None, reason: str
) -> None:
    models.put(tmp_path, "m", _model(manifest))
    assert reason in _refusal(opened, require_strong_parity=True)


@pytest.mark.parametrize(
    ("coverage", "strength"), [(STRONG, "strong"), (WEAK, "weak"), (None, "unknown")], ids=str
)
def test_a_model_tells_how_much_its_parity_proves(
    tmp_path: Path,
    opened: Opened,
    caplog: pytest.LogCaptureFixture,
    coverage: CoverageRecord | None,
    strength: str,
) -> None:
    models.put(tmp_path, "m", _model(_with_coverage(coverage)))
    policies = Policies(require_parity=True, require_strong_parity=strength == "strong")
    assert opened(policies=policies).model("m").parity == strength
    assert ("its parity is weak" in caplog.text) == (strength == "weak")


def test_only_what_the_key_has_signed_is_served(
    tmp_path: Path, opened: Opened, keys: Callable[[str], Keys]
) -> None:
    ours, others = keys("ours"), keys("others")
    content = sign(_model(None), ours.private)
    models.put(tmp_path, "m", content, "1")
    for version, wrong in (
        ("2", _model(None)),
        ("3", sign(_model(None), others.private)),
        ("4", content.replace(b"double", b"bouble")),
    ):
        models.put(tmp_path, "m", wrong, version)
    engine = opened(policies=Policies(require_signature=ours.public))
    assert engine.versions("m") == ["1"]
    reasons = [entry.reason for entry in engine.index()]
    assert reasons[0] == ""
    for reason, part in zip(
        reasons[1:], ("carries no signature", "signed by key", "was changed since"), strict=True
    ):
        assert "a signature is required" in reason
        assert part in reason


def test_an_unsigned_file_does_not_replace_a_signed_one(
    tmp_path: Path, opened: Opened, keys: Callable[[str], Keys]
) -> None:
    ours = keys("ours")
    models.put(tmp_path, "m", sign(_model(), ours.private))
    engine = opened(policies=Policies(require_parity=True, require_signature=ours.public))
    models.put(tmp_path, "m", _model())
    with pytest.raises(PolicyError, match="model `m` version `1` is refused: a signature is required"):
        asyncio.run(engine.load("m"))
    got = asyncio.run(engine.run(engine.model("m"), {"x": np.ones((1, 3), np.float32)}))
    assert got["y"].tolist() == [[2, 2, 2]]


@pytest.mark.parametrize("whose", ["the manifest's", "other", "unnamed", "missing"])
def test_the_weights_of_a_signed_file_must_match_it(
    tmp_path: Path, opened: Opened, keys: Callable[[str], Keys], whose: str
) -> None:
    ours, weights = keys("ours"), np.array([5, 6], np.float32).tobytes()
    data = DataRecord("w.bin", len(weights), hashlib.sha256(weights).hexdigest())
    manifest = dataclasses.replace(MANIFEST, data=None if whose == "unnamed" else data)
    path = models.put(tmp_path, "m", sign(_model(manifest, models.with_external_data("w.bin")), ours.private))
    if whose == "missing":  # links are left to ONNX Runtime, which would read what was not judged
        path.with_name(".kept").write_bytes(weights)
        path.with_name("w.bin").symlink_to(".kept")
    else:
        path.with_name("w.bin").write_bytes(weights if whose != "other" else bytes(8))
    if whose == "the manifest's":
        assert opened(policies=Policies(require_signature=ours.public)).names() == ["m"]
    else:
        assert "w.bin" in _refusal(opened, require_signature=ours.public)


def test_an_unreadable_key_refuses_all_without_naming_it(
    tmp_path: Path, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    models.put(tmp_path, "m", _model())
    reason = _refusal(opened, require_signature=tmp_path / "secret" / "key.pub")
    assert "a signature is required, and cannot be checked" in reason
    assert "secret" not in reason
    assert "secret" in caplog.text


def test_without_policies_their_checks_are_not_imported(tmp_path: Path) -> None:
    models.put(tmp_path, "m", _model())
    code = (
        "import sys, pathlib; from prometheus_client import CollectorRegistry\n"
        "from serve.engine import EngineOptions, Metrics, open_engine\n"
        f"open_engine(EngineOptions(folder=pathlib.Path({str(tmp_path)!r})), Metrics(CollectorRegistry()))\n"
        "print('convert.manifest.manifest' in sys.modules, 'cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
