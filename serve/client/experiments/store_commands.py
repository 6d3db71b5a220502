"""The commands that open the store themselves, and ask no server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptact.errors import AdaptactError, UsageError
from adaptact.options import AsJson, Quiet
from adaptact.output import print_json, print_lines

if TYPE_CHECKING:
    from serve.experiments.store.database import Store

StoreOption = Annotated[
    str,
    typer.Option(
        "--experiments-store",
        envvar="ADAPTACT_EXPERIMENTS_STORE",
        help="Folder, or URL of a PostgreSQL database, as the server's.",
    ),
]


def backup(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="File to write.")],
    store: StoreOption,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write a backup of the store, as it is now, while servers go on writing; `unit.key` is not in it."""
    from serve.experiments.store.backup import back_up  # noqa: PLC0415  # sqlalchemy

    _require_store(store)
    with _opened(store) as opened:
        rows = {name: checksum.rows for name, checksum in back_up(opened, file).items()}
    _print_rows(f"{sum(rows.values())} rows are in {file}", rows, quiet=quiet, as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The backup.")],
    store: StoreOption,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup into an empty store, and check it; put the server's `unit.key` back, too."""
    from serve.experiments.store.backup import restore as restore_backup  # noqa: PLC0415  # sqlalchemy

    with _opened(store) as opened:
        rows = {name: checksum.rows for name, checksum in restore_backup(file, opened).items()}
    _print_rows(f"{sum(rows.values())} rows are restored from {file}", rows, quiet=quiet, as_json=as_json)


def samples(
    name: Annotated[str, typer.Argument(help="Name of the experiment.")],
    file: Annotated[Path, typer.Argument(dir_okay=False, help="File to write, of JSON lines.")],
    store: StoreOption,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write the logged inputs and outputs of an experiment, each with the labels that came for it."""
    from serve.client.experiments.samples import write_samples  # noqa: PLC0415  # sqlalchemy

    _require_store(store)
    with _opened(store) as opened:
        count = write_samples(opened, name, file)
    _print_rows(f"{count} requests are in {file}", {"samples": count}, quiet=quiet, as_json=as_json)


@contextmanager
def _opened(where: str) -> "Iterator[Store]":
    from serve.experiments.store.database import open_store  # noqa: PLC0415  # sqlalchemy

    store = open_store(where)
    try:
        yield store
    except KeyboardInterrupt:
        raise AdaptactError("interrupted") from None
    finally:
        store.close()


def _require_store(where: str) -> None:
    """Raises `UsageError` for a folder without a store: opening it would make an empty one."""
    from serve.experiments.store.database import FILE  # noqa: PLC0415  # sqlalchemy

    if "://" not in where and not (Path(where) / FILE).exists():
        raise UsageError(f"there is no store in the folder `{where}`: expected the server's, with `{FILE}`")


def _print_rows(sentence: str, rows: Mapping[str, int], *, quiet: bool, as_json: bool) -> None:
    if as_json:
        print_json({"rows": dict(rows)})
    elif not quiet:
        print_lines(sentence)
