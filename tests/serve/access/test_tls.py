import os
import shutil
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from serve.access import reloaded_file
from serve.access.errors import TlsError
from serve.access.tls import Tls, open_tls
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
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"\0" * 2**21, "is larger than"),
        (b"", "PEM file"),
        (b"rubbish", "PEM file"),
    ],
)
def test_a_file_that_is_none_is_named(
    files: Certificates, tmp_path: Path, place: int, content: bytes | None, message: str
) -> None:
    given = [*files.pair("server"), files.authority]
    given[place] = tmp_path / "broken.pem"
    if content is not None:
        given[place].write_bytes(content)
    with pytest.raises(TlsError, match=message) as raised:
        open_tls(*given)
    assert f"`{given[place]}`" in str(raised.value)


def test_nothing_older_than_tls_1_2_is_spoken(files: Certificates) -> None:
    tls = open_tls(*files.pair("server"), None)
    assert tls is not None
    assert tls.newest().context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls.newest().context.verify_mode is ssl.CERT_NONE
    mutual = open_tls(*files.pair("server"), files.authority)
    assert mutual is not None
    assert mutual.newest().context.verify_mode is ssl.CERT_REQUIRED


def shown(tls: Tls, authority: Path) -> bool:
    """Whether a client that trusts the authority takes the certificate that a new connection is given."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context(cafile=str(authority))
    server = tls.context.wrap_bio(to_server, to_client, server_side=True)
    client = trusting.wrap_bio(to_client, to_server, server_hostname="localhost")
    try:
        for end in (client, server, client):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    except ssl.SSLCertVerificationError:
        return False
    assert client.version() == "TLSv1.3"
    return True


@pytest.fixture
def changing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificates:
    monkeypatch.setattr(reloaded_file, "LOOK_SECONDS", 0)
    made = write_certificates(tmp_path)
    for each in tmp_path.iterdir():
        os.utime(each, (1, 1))  # a new file may be written within what the file system takes for one moment
    return made


def test_new_files_are_for_new_connections(files: Certificates, changing: Certificates) -> None:
    old = Path(shutil.copy(changing.authority, changing.folder / "old.pem"))
    tls = open_tls(*changing.pair("server"), changing.authority)
    assert tls is not None
    first = tls.newest()
    assert shown(tls, old)
    assert tls.newest() is first
    for each in files.folder.iterdir():
        shutil.copy(each, changing.folder)
    assert shown(tls, files.authority)
    assert not shown(tls, old)
    newest = tls.newest()
    assert newest.context.verify_mode is newest.http2_context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("broken", ["server.pem", "server.key", "authority.pem"])
def test_the_old_certificate_stays_where_the_new_is_unusable(
    changing: Certificates, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    authority = Path(shutil.copy(changing.authority, changing.folder / "copy.pem"))
    tls = open_tls(*changing.pair("server"), changing.authority)
    assert tls is not None
    before, path = tls.newest(), changing.folder / broken
    content = path.read_bytes()
    for wrong in ("rubbish", None):
        path.unlink()
        if wrong is not None:
            path.write_text(wrong)
        assert tls.newest() is before
        assert f"`{path}`" in caplog.messages[-1]
        assert "what was read before stays in use" in caplog.messages[-1]
    assert shown(tls, authority)
    path.write_bytes(content)
    assert tls.newest() is not before


def test_files_that_could_not_be_read_for_a_while_are_read_again(
    changing: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloaded_file, "LOOK_SECONDS", 0)
    tls = Tls(*changing.pair("server"), None)
    before = tls.newest()
    changing.pair("server")[0].touch()

    def fail(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fail)
        assert tls.newest() is before
    assert tls.newest() is not before
