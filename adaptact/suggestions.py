"""What a mistyped word was probably meant to be."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

MOST_FILES = 10_000  # of a folder, which may hold millions
# From this similarity on a setting counts as misspelt: WORKER and PROT do, but not SERVICE_PORT, which
# Kubernetes sets for a service that has the prefix's name.
MISSPELT = 0.7
_LONGEST = 200  # characters of a word; the comparison's time grows with the square


def suggest(word: str, choices: Iterable[str]) -> str | None:
    """A question, "did you mean `x`?", of the choices that are spelt alike whatever their case, or None."""
    return _ask(find_alike(word, choices))


def suggest_file(path: Path) -> str | None:
    """The same for a path that does not exist, of what lies beside it or its missing folder."""
    try:
        missing = path
        while not missing.parent.is_dir():
            missing = missing.parent
        if missing.exists():
            return None
        names = [entry.name for entry in islice(missing.parent.iterdir(), MOST_FILES)]
    except (OSError, ValueError):
        return None
    return _ask([str(missing.parent / name) for name in find_alike(missing.name, names)])


def find_misspelt(words: Iterable[str], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each word that is almost one of the names, and that name."""
    for word in words:
        yield from ((word, meant) for meant in get_close_matches(word, names, 1, MISSPELT) if word != meant)


def find_alike(word: str, choices: Iterable[str]) -> list[str]:
    """The choices that are spelt alike, the nearest first; the dashes of options make none alike."""
    spelt = {choice.lower().lstrip("-"): choice for choice in choices}
    return [
        spelt[match] for match in get_close_matches(word[:_LONGEST].lower().lstrip("-"), spelt, cutoff=0.65)
    ]


def _ask(matches: Sequence[str]) -> str | None:
    return f"did you mean {' or '.join(f'`{match}`' for match in matches)}?" if matches else None
