"""An artefact of an OCI registry: `oci://registry/repository:tag`, whose layers are files of a models folder.

A layer's title is its path, such as `digits/1/model.onnx`, as `oras push` writes it. Layers that lie in no
folder are one version of one model: the repository's last word is its name, and the tag its version, or 1.

Source: Open Container Initiative, Distribution Specification 1.1 and Image Specification 1.1,
https://github.com/opencontainers/distribution-spec
"""

import base64
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import httpx

from serve.engine.config import CONFIG_FILE
from serve.engine.errors import quote
from serve.engine.repository import DESCRIBING, VERSION
from serve.sources.address import is_own
from serve.sources.errors import SourceError
from serve.sources.source import Download, SourceFile
from serve.sources.web import WebClient, parse_object, parse_url, read_pieces, require_fine, require_plain

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
LARGEST_MANIFEST, LARGEST_TOKEN = 4 * 2**20, 2**16
TITLE = "org.opencontainers.image.title"
UNPACK = "io.deis.oras.content.unpack"
DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
URL = re.compile(
    r"(?P<registry>[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9a-fA-F:]+\](:\d{1,5})?)"
    r"/(?P<repository>[a-z0-9]+([._/-]+[a-z0-9]+)*)"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Artefact:
    """Where an artefact is."""

    base: httpx.URL
    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def reference(self) -> str:
        """The digest, which says what is meant for good, else the tag."""
        return self.digest or self.tag


def parse_artefact(url: str) -> Artefact:
    """The artefact that the URL names; raises `SourceError`."""
    match = URL.fullmatch(url.removeprefix("oci://"))
    if match is None:
        raise SourceError(f"{quote(url)} names no artefact; expected `oci://registry/repository:tag`")
    # As every client of registries: no TLS on this machine itself.
    scheme = "http" if is_own(f"http://{match['registry']}") else "https"
    base = httpx.URL(f"{scheme}://{match['registry']}/v2/{match['repository']}/")
    tag = match["tag"] or "latest"
    return Artefact(base, match["registry"], match["repository"], tag, match["digest"] or "")


class OciSource:
    """The files of one artefact."""

    def __init__(self, url: str) -> None:
        """Nothing is asked yet; raises `SourceError` for a URL or credentials that cannot be read."""
        self._artefact = parse_artefact(url)
        self._credentials = read_credentials(self._artefact.registry)
        self._web = WebClient(self._artefact.base)
        self._authorization = ""

    def list_files(self) -> Iterator[SourceFile]:
        """As of any source; the stamp is the digest. One manifest is read, however often the tag moves."""
        artefact = self._artefact
        what = f"the manifest of {quote(artefact.repository)}"
        response, content = self._ask(
            f"manifests/{artefact.reference}", LARGEST_MANIFEST, ", ".join(MANIFESTS)
        )
        require_fine(response, content)
        if artefact.digest and f"sha256:{sha256(content).hexdigest()}" != artefact.digest:
            raise SourceError(f"{what} is not the one of digest {artefact.digest}")
        layers = parse_object(content, what).get("layers")
        if not isinstance(layers, list):
            raise SourceError(f"{what} has no layers; an index of several images is no models folder")
        files = [_read_layer(layer, what) for layer in layers]
        is_flat = not any("/" in file.path for file in files)
        for file in files:
            yield replace(file, path=self._place(file.path)) if is_flat else file

    def open(self, file: SourceFile) -> Download:
        """As of any source; the digest is the blob's name."""
        return Download(self._read(file), file.sha256)

    def _place(self, title: str) -> str:
        """The path of a file that lies in no folder: what describes the model stands beside its versions."""
        model, tag = self._artefact.repository.rpartition("/")[2], self._artefact.tag
        if title == CONFIG_FILE or title.endswith(DESCRIBING):
            return f"{model}/{title}"
        return f"{model}/{tag if VERSION.fullmatch(tag) else 1}/{title}"

    def _read(self, file: SourceFile) -> Iterator[bytes]:
        for attempt in range(2):
            with self._web.get(self._artefact.base.join(f"blobs/{file.where}"), self._headers()) as response:
                if response.status_code != UNAUTHORIZED or attempt:
                    require_fine(response)
                    yield from read_pieces(response)
                    return
            self._authorize(response)  # a token lasts some minutes only

    def _ask(self, path: str, limit_bytes: int, accept: str) -> tuple[httpx.Response, bytes]:
        url = self._artefact.base.join(path)
        response, content = self._web.read(url, limit_bytes, self._headers() | {"Accept": accept})
        if response.status_code == UNAUTHORIZED:
            self._authorize(response)
            response, content = self._web.read(url, limit_bytes, self._headers() | {"Accept": accept})
        return response, content

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self._authorization} if self._authorization else {}

    def _authorize(self, response: httpx.Response) -> None:
        """Do as the registry asks: our credentials, or a token that another server gives for them."""
        scheme, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
        basic = f"Basic {self._credentials}" if self._credentials else ""
        if scheme.lower() == "basic":
            self._authorization = basic
            return
        challenge = dict(CHALLENGE.findall(rest))
        realm = challenge.get("realm", "")
        if scheme.lower() != "bearer" or not realm.startswith(("https://", "http://")):
            raise SourceError(f"`{self._artefact.registry}` asks for an authorization that is not known")
        query = {name: challenge[name] for name in ("service", "scope") if name in challenge}
        url = parse_url(realm).copy_merge_params(query)
        answer, content = self._web.read(url, LARGEST_TOKEN, {"Authorization": basic} if basic else {})
        require_fine(answer, b"")
        given = parse_object(content, f"the token of `{url.host}`")
        token = given.get("token") or given.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise SourceError(f"`{url.host}` gives no token")
        self._authorization = f"Bearer {token}"


def _read_layer(layer: object, what: str) -> SourceFile:
    """The file that a layer is; raises `SourceError` for one that is none."""
    fields = layer if isinstance(layer, dict) else {}
    notes = fields.get("annotations")
    title = notes.get(TITLE) if isinstance(notes, dict) else None
    digest, size = fields.get("digest"), fields.get("size")
    match = DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if not isinstance(title, str) or match is None or type(size) is not int:
        raise SourceError(
            f"{what} has a layer without title, size or SHA-256; expected a layer for each file, as "
            "`oras push` writes them"
        )
    if isinstance(notes, dict) and notes.get(UNPACK) == "true":
        raise SourceError(f"{what} has the folder {quote(title)} as an archive; push its files one by one")
    return SourceFile(title, size, match[0], match[1], match[0])


def read_credentials(registry: str) -> str:
    """What the registry's user is asked for, as Docker's own configuration has it; empty without one."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # services have homes such as /dev/null
        return ""
    except (OSError, ValueError) as error:
        raise SourceError(f"`{folder / 'config.json'}` cannot be read as Docker's configuration") from error
    auths = content.get("auths") if isinstance(content, dict) else None
    for name, entry in (auths if isinstance(auths, dict) else {}).items():
        host = name.rpartition("://")[2].partition("/")[0]
        if host == registry and isinstance(entry, dict):
            return _read_entry(entry, registry)
    return ""


def _read_entry(entry: dict[str, object], registry: str) -> str:
    auth, user, password = entry.get("auth"), entry.get("username"), entry.get("password")
    if isinstance(auth, str) and auth.strip():
        require_plain(auth.strip(), f"`auth` of `{registry}` in Docker's configuration")
        return auth.strip()
    if isinstance(user, str) and isinstance(password, str):
        return base64.b64encode(f"{user}:{password}".encode()).decode()
    raise SourceError(
        f"Docker's configuration keeps the password of `{registry}` in another program, which is not asked; "
        "give one with `auth`, in a folder that DOCKER_CONFIG names"
    )
