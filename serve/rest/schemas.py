"""OpenAPI for what the framework cannot see: bodies that the routes read themselves."""

from copy import deepcopy
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel

from serve.engine.datatypes import BY_NAME

ModelName = Annotated[str, Path(description="The model's name.")]
VersionName = Annotated[str, Path(description="The model's version; the highest one answers without it.")]

Schema = dict[str, Any]


class ErrorReply(BaseModel):
    """What went wrong, where, what was expected, what was got."""

    error: str


ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorReply, "description": "The request does not fit the protocol or the model."},
    404: {"model": ErrorReply, "description": "Request for unknown model."},
    413: {"model": ErrorReply, "description": "The body is larger than the limit."},
    415: {"model": ErrorReply, "description": "The body is compressed."},
    500: {"model": ErrorReply, "description": "The model or the server failed; the log says why."},
    501: {"model": ErrorReply, "description": "A part of the protocol that this server does not offer."},
    503: {"model": ErrorReply, "description": "The model is there, but did not load."},
}


def _object(required: list[str], **properties: Schema) -> Schema:
    return {"type": "object", "required": required, "properties": properties}


def _list(items: Schema, **more: object) -> Schema:
    return {"type": "array", "items": items, **more}


STRING: Schema = {"type": "string"}
SHAPE = _list({"type": "integer", "minimum": 0}, maxItems=32)
DATATYPE: Schema = {"type": "string", "enum": list(BY_NAME)}
DATA = _list({}, description="The values in row-major order, flat or nested.")
SIZE: Schema = {"type": "integer", "minimum": 0, "description": "Bytes of this tensor after the JSON."}
FLAG: Schema = {"type": "boolean"}

INPUT = _object(
    ["name", "shape", "datatype"],
    name=STRING,
    shape=SHAPE,
    datatype=DATATYPE,
    data=DATA,
    parameters=_object([], binary_data_size=SIZE),
) | {
    "description": "With either `data` or the parameter `binary_data_size`.",
    "oneOf": [
        {"required": ["data"]},
        {"required": ["parameters"], "properties": {"parameters": {"required": ["binary_data_size"]}}},
    ],
}
REQUEST = _object(
    ["inputs"],
    id=STRING,
    parameters=_object([], binary_data_output=FLAG),
    inputs=_list(INPUT),
    outputs=_list(_object(["name"], name=STRING, parameters=_object([], binary_data=FLAG))),
)
OUTPUT = _object(
    ["name", "shape", "datatype"],
    name=STRING,
    shape=SHAPE,
    datatype=DATATYPE,
    data=DATA,
    parameters=_object([], binary_data_size=SIZE),
)
REPLY = _object(
    ["model_name", "model_version", "outputs"],
    model_name=STRING,
    model_version=STRING,
    id=STRING,
    outputs=_list(OUTPUT),
)
BINARY: Schema = {
    "type": "string",
    "format": "binary",
    "description": "The JSON, then the bytes of the binary tensors in the order of the JSON, little-endian.",
}
LENGTH_HEADER: Schema = {
    "description": "How many bytes of the body are JSON, when binary tensors follow them; "
    "0 in a request whose body is nothing but its only input.",
    "schema": {"type": "integer", "minimum": 0},
}


def _parameter(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": STRING}


def _body(content: Schema) -> Schema:
    return {"required": True, "content": content}


INFER: Schema = {
    "parameters": [
        _parameter("model"),
        {"name": "Inference-Header-Content-Length", "in": "header", **LENGTH_HEADER},
    ],
    "requestBody": _body(
        {"application/json": {"schema": REQUEST}, "application/octet-stream": {"schema": BINARY}}
    ),
    "responses": {
        "200": {
            "description": "The outputs.",
            "headers": {"Inference-Header-Content-Length": LENGTH_HEADER},
            "content": {
                "application/json": {"schema": REPLY},
                "application/octet-stream": {"schema": BINARY},
            },
        }
    },
}

INSTANCES = _object(
    ["instances"],
    instances=_list(
        {},
        minItems=1,
        description="For a model with one input its tensors; with several, objects by the inputs' names.",
    ),
)
PREDICTIONS = _object(
    ["predictions"],
    predictions=_list(
        {}, description="One for each instance; objects by name for a model of several outputs."
    ),
    labels=_list(STRING, description="The likeliest class of each instance, if the file names its classes."),
)
PREDICT: Schema = {
    "parameters": [_parameter("model")],
    "requestBody": _body({"application/json": {"schema": INSTANCES}}),
    "responses": {
        "200": {
            "description": "The predictions.",
            "content": {"application/json": {"schema": PREDICTIONS}},
        }
    },
}


def in_version(operation: Schema) -> Schema:
    """The same operation on a path that also names a version."""
    versioned = deepcopy(operation)
    versioned["parameters"].insert(1, _parameter("version"))
    return versioned
