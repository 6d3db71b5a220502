"""Which samples are taken: shares of each class, rare classes, wrong labels."""

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.int64]
Indices = NDArray[np.int64]


def split_stratified(labels: Classes, size: int, seed: int) -> tuple[Indices, Indices]:
    """`size` indices with each class in its share, and the remaining ones; both ascending."""
    generator = np.random.default_rng(seed)
    counts = np.bincount(labels)
    chosen = [
        generator.permutation(np.flatnonzero(labels == label))[:share]
        for label, share in enumerate(_divide_by_share(counts, size))
    ]
    kept = np.sort(np.concatenate(chosen))
    return kept, np.setdiff1d(np.arange(len(labels)), kept)


def sample_long_tailed(labels: Classes, imbalance: float, seed: int) -> Indices:
    """Ascending indices that keep the first class whole and `imbalance` times fewer of the last one.

    In between the share falls geometrically from class to class; each keeps at least one sample.
    Source: Cui et al. 2019, https://arxiv.org/abs/1901.05555
    """
    generator = np.random.default_rng(seed)
    last = max(int(labels.max()), 1)
    chosen = []
    for label in range(last + 1):
        of_class = generator.permutation(np.flatnonzero(labels == label))
        share = imbalance ** (-label / last)
        chosen.append(of_class[: max(1, round(len(of_class) * share))])
    return np.sort(np.concatenate(chosen))


def add_label_noise(labels: Classes, share: float, classes: int, seed: int) -> Classes:
    """The labels, of which `share` are replaced by another class, each other one equally likely."""
    generator = np.random.default_rng(seed)
    relabelled = generator.permutation(len(labels))[: round(share * len(labels))]
    changed = labels.copy()
    changed[relabelled] = (labels[relabelled] + generator.integers(1, classes, len(relabelled))) % classes
    return changed


def _divide_by_share(counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """`size` divided as `counts` are, the largest remainders rounded up."""
    exact = counts * (size / counts.sum())
    shares: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    upwards = np.argsort(-(exact - shares), kind="stable")[: size - int(shares.sum())]
    shares[upwards] += 1
    return shares
