"""Messages as lines of the access log: what is called is the path, and the status is gRPC's number."""

from time import perf_counter

from serve.access.gate import Gate
from serve.grpc.call import Answer, Call
from serve.grpc.errors import number_of
from serve.watch.access_log import AccessLog

METHOD = "gRPC"


def logged(answer: Answer, path: str, log: AccessLog | None, gate: Gate) -> Answer:
    """The answer, and a line about it; without a log the answer alone. The gate knows who calls."""
    if log is None:
        return answer

    async def told(data: bytes, call: Call) -> bytes:
        began = perf_counter()
        error: BaseException | None = None
        try:
            return await answer(data, call)
        except BaseException as raised:
            error = raised
            raise
        finally:
            caller = gate.named(*call.sender).name
            log.record((METHOD, path), call.identity, caller, number_of(error), perf_counter() - began)

    return told
