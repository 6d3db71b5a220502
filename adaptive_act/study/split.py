"""Which samples train, validate and test, and how the training labels are spoilt: pure choices of indices."""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Indices = NDArray[np.int64]


def stratified(labels: Labels, size: int, seed: int) -> tuple[Indices, Indices]:
    """`size` indices with each class in its share, and the remaining ones; both ascending."""
    generator = np.random.default_rng(seed)
    counts = np.bincount(labels)
    chosen = [
        generator.permutation(np.flatnonzero(labels == label))[:share]
        for label, share in enumerate(_shares(counts, size))
    ]
    kept = np.sort(np.concatenate(chosen))
    return kept, np.setdiff1d(np.arange(len(labels)), kept)


def long_tailed(labels: Labels, imbalance: float, seed: int) -> Indices:
    """Ascending indices that keep the first class whole and `imbalance` times fewer of the last one.

    In between the share falls geometrically from class to class; each keeps at least one sample.
    Source: Cui et al. 2019, https://arxiv.org/abs/1901.05555
    """
    generator = np.random.default_rng(seed)
    last = max(int(labels.max()), 1)
    chosen = []
    for label in range(last + 1):
        found = generator.permutation(np.flatnonzero(labels == label))
        share = imbalance ** (-label / last)
        chosen.append(found[: max(1, round(len(found) * share))])
    return np.sort(np.concatenate(chosen))


def noisy(labels: Labels, share: float, classes: int, seed: int) -> Labels:
    """The labels, of which `share` are replaced by another class, each other one equally likely."""
    generator = np.random.default_rng(seed)
    spoilt = generator.permutation(len(labels))[: round(share * len(labels))]
    changed = labels.copy()
    changed[spoilt] = (labels[spoilt] + generator.integers(1, classes, len(spoilt))) % classes
    return changed


def _shares(counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """`size` divided as `counts` are, the largest remainders rounded up."""
    exact = counts * (size / counts.sum())
    shares: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    upwards = np.argsort(-(exact - shares), kind="stable")[: size - int(shares.sum())]
    shares[upwards] += 1
    return shares
