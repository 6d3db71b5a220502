"""HAProxy itself, without replicas."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from grpc import RpcError, StatusCode
from grpc import insecure_channel as grpc_channel

from serve.cluster.errors import ClusterError
from serve.cluster.proxy import HaProxy
from serve.cluster.proxy_text import ProxyOptions
from tests.serve.certificates import write_certificates
from tests.serve.process import free_port

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed")
OPTIONS = ProxyOptions("127.0.0.1", 0, 0, slots=2)


@contextmanager
def run_proxy(folder: Path, options: ProxyOptions) -> Iterator[HaProxy]:
    proxy = HaProxy(folder, replace(options, port=free_port(), grpc_port=free_port()))
    proxy.open({})
    try:
        yield proxy
    finally:
        proxy.stop()
        for process in proxy._started:
            process.wait()


def test_certificates_are_for_the_proxy_s_user_only_and_go_with_the_next_ones(short_path: Path) -> None:
    made = write_certificates(short_path / "certificates")
    folder = short_path / "cluster"
    options = []
    for name in ("server", "client"):
        certificate, key = (path.read_bytes() for path in made.pair(name))
        options.append(replace(OPTIONS, certificate=certificate + key, trusted=certificate))
    with run_proxy(folder, options[0]) as proxy:
        (folder / "other.pem").write_bytes(b"somebody's")
        before = set(folder.glob("proxy-*.pem"))
        proxy.options = replace(
            proxy.options, certificate=options[1].certificate, trusted=options[1].trusted + options[0].trusted
        )
        proxy.open({})
        after = set(folder.glob("proxy-*.pem"))
        assert (len(before), len(after), len(before & after)) == (2, 2, 0)
        assert {path.stat().st_mode & 0o777 for path in after} == {0o600}
        assert (folder / "other.pem").exists()


def test_the_path_of_a_socket_is_short_in_bytes() -> None:
    with pytest.raises(ClusterError, match="is too long for the path of a socket"):
        HaProxy(Path("/tmp", "模型" * 15), OPTIONS)


def test_why_it_does_not_start_is_of_this_time(short_path: Path) -> None:
    (short_path / "haproxy.log").write_text("[ALERT] the reason of yesterday\n", encoding="utf-8")
    proxy = HaProxy(short_path, replace(OPTIONS, port=free_port(), certificate=b"none", trusted=b"none"))
    with pytest.raises(ClusterError, match=r"does not start: .*pem") as caught:
        proxy.open({})
    assert "yesterday" not in str(caught.value)


def test_what_concerns_one_replica_is_refused_however_it_is_written(short_path: Path) -> None:
    with run_proxy(short_path, OPTIONS) as proxy:
        http, grpc = proxy.options.port, proxy.options.grpc_port
        with httpx.Client(base_url=f"http://127.0.0.1:{http}", trust_env=False) as client:
            refused = [
                client.post(path).status_code
                for path in (
                    "/v2/repository/models/net/load",
                    "/v2/%72epository/models/net/unload",
                    "/v2/logging",
                    "/adaptact/v1/experiments/colours:start",
                    "/adaptact/v1/feedback:bulk",
                )
            ]
            assert refused == [403] * 5
            plan = client.post("/adaptact/v1/experiments:plan")
            assert (
                plan.status_code == client.post("/v2/repository/index").status_code == 503
            )  # there is no replica
        with grpc_channel(f"127.0.0.1:{grpc}") as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/RepositoryModelLoad")
            with pytest.raises(RpcError) as caught:
                call(b"", timeout=30)
            assert caught.value.code() is StatusCode.PERMISSION_DENIED
            assert "ask it at its own address" in caught.value.details()
