"""What people write first: FastAPI, orjson, numpy, and the session in Starlette's thread pool."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from benchmarks.servers.programs.session import open_session

SESSIONS = {
    path.parents[1].name: open_session(path) for path in Path(os.environ["MODELS"]).glob("*/1/model.onnx")
}
app = FastAPI()


@app.get("/v2/health/ready")
def ready() -> dict[str, bool]:
    """Whether the server can answer."""
    return {"ready": True}


@app.post("/v2/models/{model}/infer")
async def infer(model: str, request: Request) -> Response:
    """Run the model on one tensor."""
    entry = orjson.loads(await request.body())["inputs"][0]
    array = np.asarray(entry["data"], np.float32).reshape(entry["shape"])
    output: Any = (await run_in_threadpool(SESSIONS[model].run, None, {entry["name"]: array}))[0]
    described = {"name": "y", "datatype": "FP32", "shape": output.shape, "data": output.ravel()}
    text = orjson.dumps({"model_name": model, "outputs": [described]}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(text, media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        "benchmarks.servers.programs.plain_fastapi:app",
        port=int(os.environ["PORT"]),
        workers=int(os.environ["WORKERS"]),
        access_log=False,
        log_level="warning",
    )
