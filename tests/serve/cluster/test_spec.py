from dataclasses import replace
from pathlib import Path

import pytest

from serve.cluster.errors import ClusterError
from serve.cluster.orders import make_order, write_settings
from serve.cluster.spec import describe_models, make_spec
from serve.settings import Settings
from tests.serve.certificates import write_certificates


def make_settings(folder: Path, **more: object) -> Settings:
    given = {"models": folder / "models", "state": folder / "state", "cluster": "auto", **more}
    return Settings.model_validate(given)


def test_a_replica_gets_the_settings_that_are_not_by_default(tmp_path: Path) -> None:
    settings = make_settings(
        tmp_path, batching="off", drift=False, port=9000, host="0.0.0.0", replica_cpus=2, experiments_store=""
    )
    spec = make_spec(settings, "10.0.0.1")
    assert spec.environment == {
        "ADAPTACT_MODELS": str(tmp_path / "models"),
        "ADAPTACT_BATCHING": "off",
        "ADAPTACT_DRIFT": "false",
        "ADAPTACT_PROXIES": "10.0.0.1",
    }
    assert (spec.cpus, spec.has_grpc) == (2, False)


def test_the_server_reads_back_what_a_replica_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(
        tmp_path, queue_seconds=2.5, request_rows=7, local_admin=True, versions="latest:2"
    )
    for name, value in make_spec(settings, "10.0.0.1").environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    read = Settings()  # type: ignore[call-arg]  # all of it is in the environment
    assert (read.queue_seconds, read.request_rows, read.local_admin) == (2.5, 7, True)
    assert (read.versions, read.proxies) == (settings.versions, "10.0.0.1")


def test_files_travel_by_their_content_and_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text("[keys]", encoding="utf-8")
    store = "postgresql://user:secret@db/adaptact"
    spec = make_spec(make_settings(tmp_path, keys=tmp_path / "keys.toml", experiments_store=store), "")
    assert spec.files["keys"] == b"[keys]"
    assert len(spec.files["unit.key"]) >= 64
    assert "[keys]" not in repr(spec)


def test_what_makes_another_server_is_another_specification(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "keys.toml").write_text("a", encoding="utf-8")
    settings = make_settings(tmp_path, keys=tmp_path / "keys.toml")
    first = make_spec(settings, "10.0.0.1")
    assert make_spec(settings, "10.0.0.1").digest == first.digest
    (tmp_path / "keys.toml").write_text("b", encoding="utf-8")
    second = make_spec(settings, "10.0.0.1")
    (tmp_path / "models" / "m.onnx").write_bytes(b"model")
    third = make_spec(settings, "10.0.0.1")
    assert len({first.digest, second.digest, third.digest}) == 3
    again = replace(third, generation="of Monday")
    assert (again.content, again.digest == third.digest) == (third.content, False)


def test_a_source_that_is_no_folder_here_is_told_by_its_name() -> None:
    assert describe_models("s3://bucket/models") == "s3://bucket/models"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"state": None}, "needs `--state`"),
        ({"tls_client_ca": "ca.pem"}, "--tls-client-ca"),
        ({"shared_memory": "*"}, "--shared-memory"),
        ({"experiments_store": "folder"}, "expected a `postgresql://` URL"),
        ({"min_replicas": 3}, "`--min-replicas 3` is more than `--max-replicas 1`"),
        ({"keys": "/nowhere/keys.toml"}, "`--keys` cannot be read"),
    ],
)
def test_what_replicas_cannot_have_is_refused(tmp_path: Path, more: dict[str, object], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        make_spec(make_settings(tmp_path, **more), "")


def test_the_proxy_gets_certificate_and_key_in_a_file_for_its_user_only(tmp_path: Path) -> None:
    certificate, key = write_certificates(tmp_path / "certificates").pair("server")
    order = make_order(make_settings(tmp_path, tls_certificate=certificate, tls_key=key), "10.0.0.1")
    path = order.proxy.certificate
    assert path is not None
    assert path.read_bytes() == certificate.read_bytes() + b"\n" + key.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600


def test_settings_that_are_handed_over_mean_the_same_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.model_validate({"models": "models", "state": "state", "access_log": "-"})
    read = Settings.model_validate_json(write_settings(settings))
    assert (read.models, read.state) == (tmp_path / "models", tmp_path / "state")
    assert str(read.access_log) == "-"
