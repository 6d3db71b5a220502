"""Requests to the cluster: who asks, and what must not come of it."""

import ssl

import httpx

from tests.fleet.load import Load
from tests.fleet.program import check
from tests.replicas.service import Service


def connect(service: Service, role: str) -> httpx.Client:
    """A client that has the role and trusts the service's certificates."""
    trust = ssl.create_default_context(cafile=str(service.certificates.authority))
    trust.check_hostname = False  # the certificate is for this machine's name, replicas are at its address
    return httpx.Client(verify=trust, headers={"Authorization": f"Bearer {service.keys[role]}"}, timeout=60)


def ask(answer: httpx.Response) -> httpx.Response:
    """The answer, which is one of success."""
    request = answer.request
    check(answer.is_success, f"{request.method} {answer.url}: {answer.status_code} {answer.text[:300]}")
    return answer


def require_no_failure(load: Load) -> None:
    """Every request was answered with 200."""
    check(load.failures == 0, f"requests failed: {dict(load.outcomes)}")
