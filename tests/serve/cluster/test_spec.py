from dataclasses import replace
from pathlib import Path

import pytest

from serve.cluster.errors import ClusterError
from serve.cluster.orders import make_order, read_settings, write_settings
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


def test_a_specification_stays_the_same_where_another_version_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_spec(make_settings(tmp_path), "10.0.0.1")
    before = made.digest
    monkeypatch.setattr("serve.cluster.spec.__version__", "0.0.0", raising=False)
    assert made.digest == before
    assert replace(made, version="0.0.0").digest != before


def test_a_folder_that_is_not_here_is_told_by_its_path() -> None:
    assert describe_models(Path("/nowhere/models")) == "/nowhere/models"


def test_a_copy_that_its_source_changes_makes_no_other_replicas(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, source="s3://bucket/models")
    first = make_spec(settings, "10.0.0.1")
    (tmp_path / "models" / ".source").mkdir(parents=True)
    (tmp_path / "models" / ".source" / "status.json").write_text("{}", encoding="utf-8")
    assert make_spec(settings, "10.0.0.1") == first
    assert make_spec(make_settings(tmp_path, source="s3://bucket/other"), "10.0.0.1") != first


def test_logs_of_a_replica_are_not_in_the_folder_that_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = make_spec(make_settings(tmp_path, audit_log="audit.jsonl", access_log="-"), "")
    assert spec.environment["ADAPTACT_AUDIT_LOG"] == str(tmp_path / "audit.jsonl")
    assert spec.environment["ADAPTACT_ACCESS_LOG"] == "-"


def test_a_key_that_cannot_be_made_is_an_error_of_the_cluster(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder", encoding="utf-8")
    with pytest.raises(ClusterError, match="the key of the units"):
        make_spec(make_settings(tmp_path, experiments_store="postgresql://db/adaptact"), "")


def test_settings_of_another_version_are_an_error_of_the_cluster() -> None:
    with pytest.raises(ClusterError, match="may be of another version"):
        read_settings('{"models": "models", "poll_seconds": "sometimes"}')


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"state": None}, "needs `--state`"),
        ({"tls_client_ca": "ca.pem"}, "--tls-client-ca"),
        ({"shared_memory": "*"}, "--shared-memory"),
        ({"experiments_store": "folder"}, "expected a `postgresql://` URL"),
        ({"experiments": "experiments.toml"}, "`--experiments` needs `--experiments-store"),
        ({"replica_gpus": 1.5}, "`--replica-gpus 1.5` is no share of one GPU"),
        ({"min_replicas": 3}, "`--min-replicas 3` is more than `--max-replicas 1`"),
        ({"keys": "/nowhere/keys.toml"}, "`--keys` cannot be read"),
    ],
)
def test_what_replicas_cannot_have_is_refused(tmp_path: Path, more: dict[str, object], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        make_spec(make_settings(tmp_path, **more), "")


def test_the_proxy_shows_the_certificate_and_trusts_it(tmp_path: Path) -> None:
    certificate, key = write_certificates(tmp_path / "certificates").pair("server")
    order = make_order(make_settings(tmp_path, tls_certificate=certificate, tls_key=key), "10.0.0.1")
    assert order.proxy.certificate == certificate.read_bytes() + b"\n" + key.read_bytes()
    assert order.proxy.trusted == certificate.read_bytes()
    assert "PRIVATE" not in repr(order)


def test_the_proxy_waits_for_as_long_as_a_request_may_wait_and_run(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, queue_seconds=30, run_seconds=300.5)
    assert make_order(settings, "10.0.0.1").proxy.answer_seconds > 330


def test_settings_that_are_handed_over_mean_the_same_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.model_validate({"models": "models", "state": "state", "access_log": "-"})
    read = Settings.model_validate_json(write_settings(settings))
    assert (read.models, read.state) == (tmp_path / "models", tmp_path / "state")
    assert str(read.access_log) == "-"
