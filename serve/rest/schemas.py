"""OpenAPI schemas of the bodies that routes read themselves, and of the errors of all routes."""

from copy import deepcopy
from typing import Annotated, Any

from fastapi import Path

from serve.engine.datatypes import BY_NAME
from serve.observe.log_settings import MAX_VERBOSE
from serve.protocol.parameters import MAX_NUMBER
from serve.rest.body import MAX_DIGITS

ModelName = Annotated[str, Path(description="The model's name.")]
VersionName = Annotated[str, Path(description="The model's version; the highest one answers without it.")]

Schema = dict[str, Any]


ERROR_REPLY = "ErrorReply"
BEARER: Schema = {"WWW-Authenticate": {"description": "`Bearer`.", "schema": {"const": "Bearer"}}}
RETRY_AFTER: Schema = {
    "Retry-After": {
        "description": "Seconds after which the client may come again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}


def _error(description: str, headers: Schema | None = None) -> Schema:
    # By its name, and not by a class: FastAPI would compile that for each status of each route at each start.
    schema = {"$ref": f"#/components/schemas/{ERROR_REPLY}"}
    error: Schema = {"description": description, "content": {"application/json": {"schema": schema}}}
    return error if headers is None else error | {"headers": headers}


ERRORS: dict[int | str, Schema] = {
    400: _error("The request does not fit the protocol or the model."),
    401: _error("No key where one is needed, or one that is not the server's.", BEARER),
    403: _error("A key without the role, or a page of another site."),
    404: _error("Request for unknown model."),
    408: _error("The request stalled while it was sent."),
    409: _error("The experiment's stage does not allow that."),
    413: _error("The body is larger than the limit."),
    415: _error("The body is in a coding that is not read."),
    422: _error("The model's file will not be served; the message says why."),
    429: _error("The client is over its own limit.", RETRY_AFTER),
    500: _error("The model or the server failed; the log says why."),
    501: _error("A part of the protocol that this server does not offer."),
    503: _error("The model did not load, its queue is full, or the server is about to end.", RETRY_AFTER),
    504: _error("The request waited longer than it may; nothing was run."),
}
NO_OTHER_KEYS: Schema = {"additionalProperties": False}


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
PARAMETER: Schema = {"type": ["string", "number", "boolean"]}


def _parameters(**properties: Schema) -> Schema:
    """Those of a request, an input or an output that is asked for; null stands for none."""
    return {"type": ["object", "null"], "properties": properties, "additionalProperties": PARAMETER}


WHOLE: Schema = {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER}
TIMEOUT: Schema = WHOLE | {
    "description": "Microseconds that the request may wait for its turn; 0 for as long as the model's own.",
}
CLASSIFICATION: Schema = WHOLE | {
    "description": "So many of the highest scores as `value:index:class`, in place of the output.",
}

SIZE_NEEDED: Schema = {"type": "object", "required": ["binary_data_size"]}
INPUT = _object(
    ["name", "shape", "datatype"],
    name=STRING,
    shape=SHAPE,
    datatype=DATATYPE,
    data=DATA,
    parameters=_parameters(binary_data_size=SIZE),
) | {
    "description": "With either `data` or the parameter `binary_data_size`.",
    "oneOf": [
        {"required": ["data"]},
        {"required": ["parameters"], "properties": {"parameters": SIZE_NEEDED}},
    ],
}
REQUESTED = _object(
    ["name"],
    name=STRING,
    parameters=_parameters(binary_data=FLAG, classification=CLASSIFICATION),
)
REQUEST = _object(
    ["inputs"],
    id=STRING,
    parameters=_parameters(binary_data_output=FLAG, timeout=TIMEOUT),
    inputs=_list(INPUT),
    outputs=_list(REQUESTED),
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
    "schema": {"type": "integer", "minimum": 0, "maximum": 10**MAX_DIGITS - 1},
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
        {"type": ["array", "number", "string", "boolean", "object"]},
        minItems=1,
        description="For a model with one input its tensors; with several, or with named columns, objects by "
        "their names. A text is one for a model with a tokenizer. "
        'An image stands for a tensor as `{"b64": "..."}`, a PNG or JPEG file in base64.',
    ),
)
PREDICTIONS = _object(
    ["predictions"],
    predictions=_list(
        {}, description="One for each instance; objects by name for a model of several outputs."
    ),
    labels=_list(STRING, description="The likeliest class of each instance, if the classes have names."),
    truncated=_list(
        {"type": "integer"}, description="The places of the texts that were cut, from 0, if any."
    ),
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


def _optional(schema: Schema) -> Schema:
    """A body that may be left out."""
    return {"requestBody": {"required": False, "content": {"application/json": {"schema": schema}}}}


INDEX = _optional(_object([], ready=FLAG))
CONFIG: Schema = STRING | {
    "description": "A configuration as JSON in a text, by the names of the reply of `/config` "
    "or by those of `config.toml`.",
}
LOAD = _optional(_object([], parameters=_parameters(config=CONFIG)))
UNLOAD = _optional(_object([], parameters=_parameters(unload_dependents=FLAG)))
ALIAS: Schema = {"requestBody": _body({"application/json": {"schema": _object(["version"], version=STRING)}})}
DEFINITION: Schema = {
    "requestBody": _body(
        {"application/json": {"schema": {"type": "object", "description": "A definition, as in the file."}}}
    )
}
ACT = _optional(
    _object(
        [],
        reason=STRING | {"description": "For the audit trail."},
        candidate=STRING | {"description": "The candidate to promote, by default the first."},
    )
)
OUTCOME = _object(
    ["metric", "value"],
    request_id=STRING | {"description": "Of the request, as its reply says; or else:"},
    unit={"type": ["string", "integer"], "description": "As requests name it."},
    metric=STRING,
    value={"type": "number"},
    time={
        "type": ["string", "number"],
        "description": "When it happened: ISO 8601 with its offset, or seconds since 1970.",
    },
    idempotency_key=STRING,
)
FEEDBACK: Schema = {"requestBody": _body({"application/json": {"schema": OUTCOME}})}
FEEDBACK_FILE: Schema = {
    "requestBody": _body(
        {
            kind: {"schema": {"type": "string"}}
            for kind in (
                *("application/x-ndjson", "application/jsonl", "text/csv"),
                "application/vnd.apache.parquet",
            )
        }
    )
}
REGION: Schema = {
    "requestBody": _body(
        {
            "application/json": {
                "schema": _object(["key", "byte_size"], key=STRING, offset=WHOLE, byte_size=WHOLE)
            }
        }
    )
}
LOGGING = _optional(
    _object(
        [],
        log_file={"const": ""},
        log_info=FLAG,
        log_warning=FLAG,
        log_error=FLAG,
        log_verbose_level=WHOLE | {"maximum": MAX_VERBOSE},
        log_format={"const": "default"},
    )
    | NO_OTHER_KEYS
)
TRACE = _optional(
    _object(
        [],
        trace_level={"enum": [["OFF"], None]},
        trace_rate={"enum": ["1000", None]},
        trace_count={"enum": ["-1", None]},
        log_frequency={"enum": ["0", None]},
        trace_file={"enum": ["", None]},
    )
    | NO_OTHER_KEYS
)


def describe_errors(document: Schema) -> Schema:
    """The OpenAPI document, with the schema that `ERRORS` names."""
    fields = {"key": STRING, "role": STRING, "expressible_in": {"enum": ["binary"]}}
    described = {"title": ERROR_REPLY, "description": "What went wrong, where, what was expected and got."}
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas[ERROR_REPLY] = _object(["error"], error=STRING, **fields) | described
    return document


def add_version(operation: Schema) -> Schema:
    """The same operation on a path that also names a version."""
    versioned = deepcopy(operation)
    versioned["parameters"].insert(1, _parameter("version"))
    return versioned
