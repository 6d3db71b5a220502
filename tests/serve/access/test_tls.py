import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from serve.access.errors import TlsError
from serve.access.tls import open_tls
from tests.serve.certificates import Certificates, write_certificates


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"))


def test_without_files_nothing_is_encrypted() -> None:
    assert open_tls(None, None, None) is None


def test_one_file_alone_is_refused(files: Certificates) -> None:
    certificate, key = files.pair("server")
    for given in ((certificate, None, None), (None, key, None), (None, None, files.authority)):
        with pytest.raises(TlsError, match="needs both `--tls-certificate` and `--tls-key`"):
            open_tls(*given)


def test_a_key_of_another_certificate_is_refused(files: Certificates) -> None:
    with pytest.raises(TlsError, match="MISMATCH"):
        open_tls(files.pair("server")[0], files.pair("client")[1], None)


def test_a_key_with_a_password_is_refused_without_asking_for_it(files: Certificates, tmp_path: Path) -> None:
    certificate, key = files.pair("server")
    locked = tmp_path / "locked.key"
    opened = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        opened.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(TlsError, match="the key without a password"):
        open_tls(certificate, locked, None)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        (b"\0" * 2**21, "is larger than"),
        (b"", "PEM file"),
        (b"rubbish", "PEM file"),
    ],
)
def test_a_file_that_is_none_is_named(
    files: Certificates, tmp_path: Path, place: int, content: bytes | None, said: str
) -> None:
    given = [*files.pair("server"), files.authority]
    given[place] = tmp_path / "broken.pem"
    if content is not None:
        given[place].write_bytes(content)
    with pytest.raises(TlsError, match=said) as raised:
        open_tls(*given)
    assert f"`{given[place]}`" in str(raised.value)


def test_nothing_older_than_tls_1_2_is_spoken(files: Certificates) -> None:
    tls = open_tls(*files.pair("server"), None)
    assert tls is not None
    assert tls.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls.context.verify_mode is ssl.CERT_NONE
    mutual = open_tls(*files.pair("server"), files.authority)
    assert mutual is not None
    assert mutual.context.verify_mode is ssl.CERT_REQUIRED
