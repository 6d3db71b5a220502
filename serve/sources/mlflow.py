"""Models of an MLflow registry: `models:/name@alias`, `models:/name/version`, `models:/name` for the latest.

`*` in the place of the name stands for every registered model, with an alias for those that have it. The
registry is MLFLOW_TRACKING_URI; its own REST API is asked, so that none of MLflow is installed.

Source: MLflow, REST API, https://mlflow.org/docs/latest/rest-api.html
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from urllib.parse import quote as encode
from urllib.parse import urlsplit

import httpx

from serve.engine.errors import quote
from serve.engine.repository import MAX_DEPTH, MAX_FILES, MODEL_FILE, NAME, SUFFIX, VERSION
from serve.sources.errors import SourceError
from serve.sources.source import Download, Source, SourceFile
from serve.sources.web import WebClient, parse_object, parse_url, read_pieces, require_fine, require_plain

URI = re.compile(r"models:/(?P<name>[^/@]+)(/(?P<version>[1-9][0-9]{0,17})|@(?P<alias>[^/@]+))?")
SIZE = re.compile(r"[0-9]{1,18}")
REGISTRY, ARTEFACTS = "api/2.0/mlflow/", "api/2.0/mlflow-artifacts/artifacts"
PROXIED = "mlflow-artifacts:"
LARGEST_ANSWER = 8 * 2**20
PAGE, MAX_PAGES = 200, 50
READY = "READY"
MAX_VERSIONS = 20
"""Of a model, the highest: each is asked for by itself."""
MAX_FOLDERS = 1000
MISSING = (400, 404)
"""What MLflow answers for an alias that a model does not have, and for a model that it does not have."""


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version of a registered model."""

    model: str
    version: str
    created: str


class MlflowSource:
    """The files of the versions that a URI names."""

    def __init__(self, uri: str, latest: int | None = None) -> None:
        """Nothing is asked yet; raises `SourceError` for a URI that names nothing."""
        match = URI.fullmatch(uri)
        tracking = os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")
        if match is None:
            raise SourceError(
                f"{quote(uri)} names no model; expected `models:/name@alias` or `models:/name/version`"
            )
        if not tracking.startswith(("http://", "https://")):
            raise SourceError(
                "MLFLOW_TRACKING_URI names no registry; expected `https://host` or `http://host:port`"
            )
        self._name, self._version, self._alias = match["name"], match["version"], match["alias"]
        self._latest = min(latest or MAX_VERSIONS, MAX_VERSIONS)
        self._folders = 0
        base = parse_url(f"{tracking}/")
        authority = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
        self._base = base
        self._web = WebClient(
            base, authority=Path(authority) if authority else None, auth=_read_credentials()
        )
        self._elsewhere: dict[str, tuple[Source, SourceFile]] = {}
        """By URL, the files that are not the registry's own."""

    def list_files(self) -> Iterator[SourceFile]:
        """As of any source; the stamp is where the version's files are, and since when."""
        for found in self._list_versions():
            folder = f"{found.model}/{found.version}"
            query = {"name": found.model, "version": found.version}
            answer = self._ask("model-versions/get-download-uri", query)
            uri = self._resolve(str(answer.get("artifact_uri", "")))
            # One file too many refuses the version, whatever else a bucket holds.
            for file in _name_model(list(islice(self._list_artefacts(uri), MAX_FILES + 1))):
                yield replace(file, path=f"{folder}/{file.path}", stamp=f"{file.stamp} {found.created}")

    def open(self, file: SourceFile) -> Download:
        """As of any source; MLflow has no digests."""
        if file.where in self._elsewhere:
            source, named = self._elsewhere[file.where]
            return source.open(named)
        return Download(self._read(file))

    def _read(self, file: SourceFile) -> Iterator[bytes]:
        with self._web.get(self._base.join(f"{ARTEFACTS}/{encode(file.where)}")) as response:
            require_fine(response)
            yield from read_pieces(response)

    def _list_versions(self) -> Iterator[RegisteredVersion]:
        names = list(self._list_names()) if self._name == "*" else [self._name]
        for name in names:
            if not NAME.fullmatch(name):
                if self._name == "*":
                    continue
                raise SourceError(
                    f"{quote(name)} is no name of a model here: letters, digits, dots, dashes and underscores"
                )
            yield from self._list_of_model(name)

    def _list_of_model(self, name: str) -> Iterator[RegisteredVersion]:
        found: Iterable[object]
        if self._alias:
            query = {"name": name, "alias": self._alias}
            answer = self._ask("registered-models/alias", query, may_miss=self._name == "*")
            found = [answer.get("model_version")]
        elif self._version:
            answer = self._ask("model-versions/get", {"name": name, "version": self._version})
            found = [answer.get("model_version")]
        else:
            query = {"filter": f"name='{name}'"}
            found = self._list_pages("model-versions/search", "model_versions", query)
        versions = []
        for fields in found:
            number = str(fields.get("version", "")) if isinstance(fields, dict) else ""
            if not isinstance(fields, dict) or not VERSION.fullmatch(number):
                continue
            if fields.get("status", READY) == READY:
                versions.append(RegisteredVersion(name, number, str(fields.get("creation_timestamp", ""))))
        yield from sorted(versions, key=lambda version: -int(version.version))[: self._latest]

    def _list_names(self) -> Iterator[str]:
        for fields in self._list_pages("registered-models/search", "registered_models", {}):
            if isinstance(fields, dict):
                yield str(fields.get("name", ""))

    def _list_pages(self, method: str, member: str, query: Mapping[str, str]) -> Iterator[object]:
        page = ""
        for _ in range(MAX_PAGES):
            answer = self._ask(method, {**query, "max_results": str(PAGE), "page_token": page})
            found = answer.get(member)
            yield from found if isinstance(found, list) else ()
            page = str(answer.get("next_page_token") or "")
            if not page:
                return
        raise SourceError(f"the registry lists more than {PAGE * MAX_PAGES} entries")

    def _ask(self, method: str, query: Mapping[str, str], *, may_miss: bool = False) -> dict[str, object]:
        """The answer of the registry; empty where `may_miss` and it has no such thing."""
        given = {name: value for name, value in query.items() if value}
        url = self._base.join(REGISTRY + method).copy_merge_params(given)
        response, content = self._web.read(url, LARGEST_ANSWER)
        if may_miss and response.status_code in MISSING:
            return {}
        require_fine(response, content)
        return parse_object(content, f"the answer of {quote(method)}")

    def _resolve(self, uri: str) -> str:
        """Where the artefacts are, of those that are named by the run or the logged model that made them."""
        kind, _, rest = uri.partition(":/")
        name, _, path = rest.strip("/").partition("/")
        if kind == "runs":
            record = self._ask("runs/get", {"run_id": name}).get("run")
        elif kind == "models":
            record = self._ask(f"logged-models/{encode(name, safe='')}", {}).get("model")
        else:
            return uri
        about = record.get("info") if isinstance(record, dict) else None
        root = str(about.get("artifact_uri", "")) if isinstance(about, dict) else ""
        return f"{root}/{path}" if path else root

    def _list_artefacts(self, uri: str) -> Iterator[SourceFile]:
        """The files below an artefact's URI, by their paths in it."""
        if uri.startswith("s3://"):
            from serve.sources.s3 import S3Source  # noqa: PLC0415  only where artefacts lie in a bucket

            bucket = S3Source(uri)
            for file in bucket.list_files():
                where = f"{uri}/{file.path}"
                self._elsewhere[where] = bucket, file
                yield replace(file, where=where)
        elif uri.startswith(PROXIED):
            root = urlsplit(uri).path.strip("/")
            yield from self._walk(root, root, 0)
        else:
            raise SourceError(
                f"the artefacts at {quote(uri)} cannot be had from the registry; expected its own "
                f"(`mlflow server --serve-artifacts`) or `s3://`"
            )

    def _walk(self, root: str, folder: str, depth: int) -> Iterator[SourceFile]:
        self._folders += 1
        if self._folders > MAX_FOLDERS:
            raise SourceError(f"the artefacts lie in more than {MAX_FOLDERS} folders")
        url = self._base.join(ARTEFACTS).copy_merge_params({"path": folder})
        response, content = self._web.read(url, LARGEST_ANSWER)
        require_fine(response, content)
        files = parse_object(content, f"the list of {quote(folder)}").get("files")
        for fields in (files if isinstance(files, list) else [])[: MAX_FILES + 1]:
            name = str(fields.get("path", "")).rpartition("/")[2] if isinstance(fields, dict) else ""
            if not name or name in (".", ".."):
                continue
            path = f"{folder}/{name}"
            if not fields.get("is_dir"):
                size = _read_size(fields.get("file_size"), path)
                yield SourceFile(path.removeprefix(f"{root}/"), size, f"{root} {size}", where=path)
            elif depth < MAX_DEPTH:
                yield from self._walk(root, path, depth + 1)


def _read_size(value: object, path: str) -> int:
    """A file's size, a number or its digits; raises `SourceError` for another value."""
    text = str(value or 0)
    if isinstance(value, bool) or SIZE.fullmatch(text) is None:
        raise SourceError(f"the registry says of {quote(path)} that its size is {quote(text)}")
    return int(text)


def _name_model(files: list[SourceFile]) -> list[SourceFile]:
    """The files, with the only ONNX file under the name that a version's file has."""
    onnx = [file for file in files if "/" not in file.path and file.path.endswith(SUFFIX)]
    if len(onnx) != 1:
        return files
    return [replace(file, path=MODEL_FILE) if file is onnx[0] else file for file in files]


def _read_credentials() -> httpx.Auth | None:
    """By MLflow's own variables: a token, or a user and a password."""
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "").strip()  # files of secrets end with a new line
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if token:
        require_plain(token, "MLFLOW_TRACKING_TOKEN")
        return BearerAuth(token)
    return httpx.BasicAuth(user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None


class BearerAuth(httpx.Auth):
    """A token; httpx drops it where a redirection leads to another host."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        """The request with the token."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request
