"""The accuracy of trained models on test samples with noise, blur or less contrast.

Severities are in units of the standardised samples, so they mean the same for every data set.
"""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from adaptact.files import replace_file
from adaptact.languages.catalogue import mark
from adaptive_act.study.data import Dataset, LabelledTensors, load_dataset
from adaptive_act.study.execute import load_trained_model, model_path
from adaptive_act.study.parallel import map_in_processes, use_one_thread
from adaptive_act.study.plan import Plan, make_run_spec
from adaptive_act.study.specs import RunSpec
from adaptive_act.study.train import score

FORMAT = "adaptact-study-corrupted/1"

Accuracies = Mapping[str, Mapping[str, Mapping[float, Sequence[float]]]]
"""Corruption -> variant -> severity -> accuracy of each seed."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """A corruption of samples; severity `severities[0]` leaves them unchanged."""

    name: str
    unit: str
    severities: tuple[float, ...]
    apply: Callable[[Tensor, float], Tensor]
    images_only: bool = False


def add_gaussian_noise(x: Tensor, severity: float) -> Tensor:
    """x plus normal noise of standard deviation `severity`, the same for every call."""
    generator = torch.Generator().manual_seed(0)
    return x + severity * torch.randn(x.shape, generator=generator)


def blur(x: Tensor, severity: float) -> Tensor:
    """Images [n, channels, height, width] blurred by a Gaussian of `severity` pixels; edges are repeated."""
    if severity == 0:
        return x
    reach = int(3 * severity + 0.5)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / severity) ** 2)
    weights = (weights / weights.sum()).expand(x.shape[1], 1, 1, -1)
    padded = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    rows = F.conv2d(padded, weights, groups=x.shape[1])
    return F.conv2d(rows, weights.transpose(2, 3), groups=x.shape[1])


def reduce_contrast(x: Tensor, severity: float) -> Tensor:
    """Each sample pulled towards its own mean: 1 leaves it, 0 would leave the mean alone."""
    middle = x.flatten(1).mean(1).reshape(-1, *(1,) * (x.dim() - 1))
    return middle + severity * (x - middle)


CORRUPTIONS = (
    Corruption(
        mark("Gaussian noise"),
        mark("standard deviation, in those of the data"),
        (0, 0.25, 0.5, 1, 2),
        add_gaussian_noise,
    ),
    Corruption(mark("blur"), mark("pixels"), (0, 0.5, 1, 1.5, 2), blur, images_only=True),
    Corruption(
        mark("contrast"), mark("share of the contrast left"), (1, 0.75, 0.5, 0.25, 0.1), reduce_contrast
    ),
)


def measure_corrupted(
    plan: Plan, data: Dataset, folder: Path, jobs: int, on_step: Callable[[], None]
) -> Accuracies:
    """The accuracy of the plan's trained models on corrupted test samples; kept in `folder` as they come.

    Empty where the plan does not ask for robustness.
    """
    if not plan.robustness:
        return {}
    specs = [
        make_run_spec(plan, data.digest, variant, seed)
        for seed in plan.few_seeds
        for variant in plan.all_variants
    ]
    by_key: dict[str, dict[str, dict[float, float]]] = {}
    for key, accuracies in map_in_processes(functools.partial(_measure, folder=folder), specs, jobs):
        by_key[key] = accuracies
        on_step()
    return {
        corruption.name: {
            variant: {
                severity: [
                    by_key[make_run_spec(plan, data.digest, variant, seed).key][corruption.name][severity]
                    for seed in plan.few_seeds
                ]
                for severity in corruption.severities
            }
            for variant in plan.all_variants
        }
        for corruption in list_fitting(data)
    }


def list_fitting(data: Dataset) -> list[Corruption]:
    """The corruptions that the samples' shape allows."""
    return [corruption for corruption in CORRUPTIONS if len(data.shape) == 3 or not corruption.images_only]


def _measure(spec: RunSpec, folder: Path) -> tuple[str, dict[str, dict[float, float]]]:
    """The accuracy of one trained model by corruption and severity, from its file where it is there."""
    path = model_path(folder, spec.key).with_suffix(".corrupted.json")
    data = load_dataset(spec.data)
    severities = {
        corruption.name: list(map(float, corruption.severities)) for corruption in list_fitting(data)
    }
    known = _read_known(path, severities)
    if known is not None:
        return spec.key, known
    model = load_trained_model(folder, spec, data.shape, data.outputs)
    with use_one_thread():
        accuracies = {
            corruption.name: {
                float(severity): score(
                    model, LabelledTensors(corruption.apply(data.test.x, severity), data.test.labels)
                ).score
                for severity in corruption.severities
            }
            for corruption in list_fitting(data)
        }
    values = {name: list(levels.values()) for name, levels in accuracies.items()}
    with replace_file(path) as file:
        text = json.dumps({"format": FORMAT, "severities": severities, "accuracies": values})
        file.write_text(text + "\n", encoding="utf-8")
    return spec.key, accuracies


def _read_known(path: Path, severities: Mapping[str, list[float]]) -> dict[str, dict[float, float]] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT or document["severities"] != severities:
            return None
        return {
            name: dict(zip(levels, document["accuracies"][name], strict=True))
            for name, levels in severities.items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None
