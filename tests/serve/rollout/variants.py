"""The models of experiments in tests: `digits`, in three versions that tell themselves apart."""

from pathlib import Path

from tests.serve import models

TRIPLE = (
    "triple (float[N, 3] x) => (float[N, 3] y) { three = Constant<value = float {3.0}>() y = Mul(x, three) }"
)
# It refuses whatever is not an index of its table.
PICKY = """picky (float[N, 3] x) => (float[N, 3] y) {
    table = Constant<value = float[1] {4.0}>()
    index = Cast<to = 7>(x)
    y = Gather(table, index)
}"""
# Of negative numbers it gives NaN.
ROOTS = "roots (float[N, 3] x) => (float[N, 3] y) { y = Sqrt(x) }"


def put_variants(folder: Path) -> None:
    """Version 1 of `digits` doubles, 2 triples, 3 takes zeros only; `twin` triples too, `other` is unlike."""
    for version, text in (("1", models.DOUBLE), ("2", TRIPLE), ("3", PICKY)):
        models.put(folder, "digits", models.model(text), version)
    models.put(folder, "twin", models.model(TRIPLE))
    models.put(folder, "roots", models.model(ROOTS))
    models.put(folder, "other", models.model(models.LOG))
