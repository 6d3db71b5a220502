"""The base image's stand-in, and the build of our Dockerfiles on it."""

from pathlib import Path

from rich.console import Console

from tests.docker.dockerfile import Dockerfile
from tests.docker.image.commands import run
from tests.docker.image.store import Store
from tests.docker.paths import ROOT

CONSOLE = Console()
FOLDER = ROOT / "build" / "image-test"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
DEBIAN = "bookworm"
DEBIAN_PACKAGES = ("python3", "python3-venv", "python3-pip", "ca-certificates")


def built(dockerfile: Path, image: str) -> tuple[Store, str]:
    """The store that holds `image`, built anew from `dockerfile`, and the name of its base there."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    store = Store(FOLDER)
    with CONSOLE.status("the base image (the first time takes a minute)"):
        base = ensure_base(store, dockerfile)
    with CONSOLE.status(f"building {dockerfile.name}"):
        build(store, dockerfile, image)
    return store, base


def ensure_base(store: Store, dockerfile: Path) -> str:
    """The name of the base that `dockerfile` starts from, which `store` then has.

    Where it has none yet, a minimal Debian with Debian's Python is stored under that name. An image that
    was pulled into the store under the same name is used as it is.
    """
    base = Dockerfile.read(dockerfile).last_stage.base
    if not any(name.endswith(f"/{base}") for name in store.names()):
        root = store.folder / "debian"
        run("rm", "-rf", str(root))
        run("debootstrap", "--variant=minbase", f"--include={','.join(DEBIAN_PACKAGES)}", DEBIAN, str(root))
        run("rm", "-rf", *map(str, (root / "var/cache/apt/archives").glob("*.deb")))
        container = store.buildah("from", "scratch")
        run("cp", "-a", f"{root}/.", store.buildah("mount", container))
        store.buildah("commit", "--rm", container, base)
        run("rm", "-rf", str(root))
    return base


def build(store: Store, dockerfile: Path, image: str) -> None:
    """`store` has `image`, built from `dockerfile` and the repository's root that holds its folder.

    The index is reached as this machine reaches it: its certificate authorities go in as the build secrets
    that docs/docker.md tells a site with an in-house index to use.
    """
    pip_conf = store.folder / "pip.conf"
    pip_conf.write_text("[global]\ncert = /run/secrets/ca.pem\n", encoding="utf-8")
    store.buildah(
        "bud",
        "--format=docker",  # the OCI format has no HEALTHCHECK
        "--network=host",
        "--pull-never",
        "--layers=false",
        f"--secret=id=pip.conf,src={pip_conf}",
        f"--secret=id=ca.pem,src={AUTHORITIES}",
        f"--file={dockerfile}",
        f"--tag={image}",
        str(dockerfile.parent.parent),
    )
    store.buildah("rmi", "--prune")
