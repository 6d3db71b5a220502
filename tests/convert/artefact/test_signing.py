import hashlib
import sys
from pathlib import Path

import onnx
import onnxruntime as ort
import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from convert.artefact.file import serialise
from convert.artefact.signing import sign
from convert.errors import SignatureError, UsageError
from convert.manifest.entries import SIGNATURE_KEY
from convert.manifest.manifest import DataRecord
from convert.manifest.signature import fingerprint, read_signer, require_data, split_signature, verify
from tests.convert.graphs import parse_graph, write_constant, write_graph
from tests.convert.keys import PASSWORD, KeyFiles, write_keys

CONTENT = serialise(parse_graph(write_graph("r = Relu(x) y = Mul(r, s)", write_constant("s", 4, 1, 1))))


@pytest.fixture
def made(tmp_path: Path) -> KeyFiles:
    return write_keys(tmp_path)


def test_a_signed_file_is_verified_by_the_public_key(made: KeyFiles) -> None:
    signed = sign(CONTENT, made.private)
    assert verify(signed, made.public) == read_signer(signed)
    assert split_signature(signed)[0] == CONTENT


def test_a_signed_file_is_a_model_like_any_other(made: KeyFiles) -> None:
    signed = sign(CONTENT, made.private)
    onnx.checker.check_model(signed, full_check=True)
    entries = {entry.key for entry in onnx.load_model_from_string(signed).metadata_props}
    assert SIGNATURE_KEY in entries
    ort.InferenceSession(signed, providers=["CPUExecutionProvider"])


def test_the_key_is_not_in_the_file(made: KeyFiles) -> None:
    signed = sign(CONTENT, made.private)
    assert bytes([1]) * 32 not in signed
    assert bytes([1]).hex() * 32 not in signed.decode("latin-1")


def test_signing_twice_gives_the_same_bytes_and_one_signature(made: KeyFiles, tmp_path: Path) -> None:
    signed = sign(CONTENT, made.private)
    assert sign(signed, made.private) == signed
    other = write_keys(tmp_path, seed=2)
    assert len(sign(signed, other.private)) == len(signed)
    assert verify(sign(signed, other.private), other.public)


@pytest.mark.parametrize("place", [0, 10, len(CONTENT) // 2, len(CONTENT) - 1])
def test_a_changed_byte_is_found(made: KeyFiles, place: int) -> None:
    changed = bytearray(sign(CONTENT, made.private))
    changed[place] ^= 1
    with pytest.raises(SignatureError, match="was changed since"):
        verify(bytes(changed), made.public)


@pytest.mark.parametrize("place", range(-200, 0, 17))
def test_a_changed_byte_of_the_signature_is_found(made: KeyFiles, place: int) -> None:
    changed = bytearray(sign(CONTENT, made.private))
    changed[place] ^= 1
    with pytest.raises(SignatureError):
        verify(bytes(changed), made.public)


def test_another_key_is_refused_by_name(made: KeyFiles, tmp_path: Path) -> None:
    signed = sign(CONTENT, write_keys(tmp_path, seed=2).private)
    with pytest.raises(SignatureError, match=rf"signed by key {str(read_signer(signed))[:16]}…, expected "):
        verify(signed, made.public)


@pytest.mark.parametrize("after", [b"", b"\0", b"\x72\x00"])
def test_a_file_without_a_signature_at_its_end_is_unsigned(made: KeyFiles, after: bytes) -> None:
    content = sign(CONTENT, made.private) + after if after else CONTENT
    assert read_signer(content) is None
    with pytest.raises(SignatureError, match="carries no signature as its last entry"):
        verify(content, made.public)


def test_a_signature_of_the_bare_digest_is_refused(made: KeyFiles) -> None:
    key = load_pem_private_key(made.private.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    signature = key.sign(hashlib.sha256(CONTENT).digest())
    value = f"ed25519:{fingerprint(key.public_key())}:{signature.hex()}"
    entry = onnx.StringStringEntryProto(key=SIGNATURE_KEY, value=value)
    forged = CONTENT + onnx.ModelProto(metadata_props=[entry]).SerializeToString()
    assert read_signer(forged) is not None
    with pytest.raises(SignatureError, match="was changed since"):
        verify(forged, made.public)


DATA = DataRecord("m.onnx.0.data", 3, "ab")


def test_external_weights_match_the_manifest() -> None:
    require_data(None, {})
    require_data(DATA, {DATA.name: "ab"})


@pytest.mark.parametrize(
    ("record", "digests", "reason"),
    [
        (DATA, {DATA.name: "cd"}, "are not the ones that the file was written with: .* ab, found cd"),
        (DATA, {}, "found no such file"),
        (DATA, {DATA.name: "ab", "other.data": "ab"}, "takes weights from `other.data`"),
        (None, {"other.data": "ab"}, "of which it holds no digest"),
    ],
)
def test_other_weights_beside_are_refused(
    record: DataRecord | None, digests: dict[str, str], reason: str
) -> None:
    with pytest.raises(SignatureError, match=reason):
        require_data(record, digests)


def test_a_missing_library_gets_an_install_hint(made: KeyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(UsageError, match=r"needs `cryptography.*not installed") as exc_info:
        verify(CONTENT, made.public)
    assert exc_info.value.hint == "pip install cryptography"


def test_an_encrypted_key_needs_its_password(made: KeyFiles) -> None:
    assert sign(CONTENT, made.encrypted, PASSWORD) == sign(CONTENT, made.private)
    assert sign(CONTENT, made.private, PASSWORD) == sign(CONTENT, made.private)
    with pytest.raises(UsageError, match="is encrypted") as exc_info:
        sign(CONTENT, made.encrypted)
    assert "ADAPTACT_KEY_PASSWORD" in str(exc_info.value.hint)
    with pytest.raises(UsageError, match="no Ed25519 private key") as exc_info:
        sign(CONTENT, made.encrypted, "wrong")
    assert "password is wrong" in str(exc_info.value.hint)


def test_keys_of_the_wrong_kind_are_refused(made: KeyFiles, tmp_path: Path) -> None:
    other = tmp_path / "ed448.pem"
    other.write_bytes(
        Ed448PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    for wrong in (other, made.public, tmp_path / "none", Path("/dev/null")):
        with pytest.raises(UsageError):
            sign(CONTENT, wrong)
    for wrong in (other, made.private, tmp_path / "none"):
        with pytest.raises(UsageError):
            verify(CONTENT, wrong)


def test_an_error_never_quotes_a_key(made: KeyFiles, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    secret = made.private.read_text().splitlines()[1]
    broken.write_text(made.private.read_text().replace("PRIVATE KEY", "PRIVATE KEE"))
    with pytest.raises(UsageError) as exc_info:
        sign(CONTENT, broken)
    assert secret not in f"{exc_info.value} {exc_info.value.hint}"
    assert exc_info.value.__cause__ is None
