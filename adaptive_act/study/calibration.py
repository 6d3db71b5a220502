"""How far a model's confidence is from how often it is right."""

import torch
from torch import Tensor

BINS = 15


def calibration_error(logits: Tensor, labels: Tensor, bins: int = BINS) -> float:
    """The expected calibration error of logits [n, classes] on labels [n]: 0 is calibrated, 1 the worst.

    The mean, over bins of equal width of the confidence in the answer, of the gap between confidence and
    accuracy, weighted by the bin's samples. A bin holds its upper edge.
    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599
    """
    confidence, answer = logits.double().softmax(1).max(1)
    if not confidence.isfinite().all():
        return float("nan")
    right = (answer == labels).double()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64).index_add_(0, place, right - confidence)
    return float(gaps.abs().sum() / len(labels))
