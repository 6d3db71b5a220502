"""The specification of one run: everything on which its numbers depend."""

import hashlib
import json
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, Literal, get_args

Optimizer = Literal["adamw", "adam", "sgd"]
Schedule = Literal["onecycle", "cosine", "constant"]
TaskName = Literal["classification", "regression"]


@dataclass(frozen=True, slots=True)
class DataSpec:
    """The location of the data, and how they are split, cut and degraded before training."""

    source: str
    """`digits`, `diabetes`, or the path of a file or folder."""
    resize: int | None = None
    """Side in pixels to which the images of a folder are scaled."""
    train_size: int | None = None
    """How many training samples are kept, each class in its share; None keeps all."""
    validation: float = 0.1
    """Share of the training samples that are held out for the learning curve and for early stopping."""
    split_seed: int = 0
    label_noise: float = 0.0
    """Share of the training labels that are replaced by another class."""
    imbalance: float = 1.0
    """How many times more training samples the first class keeps than the last."""
    task: TaskName | None = None
    """What is learned; None: what the data hold, classes or numbers."""

    def __post_init__(self) -> None:
        if self.task not in (None, *get_args(TaskName)):
            raise ValueError(f"expected `task` among {', '.join(get_args(TaskName))}, got `{self.task}`")
        if not 0 < self.validation < 1:
            raise ValueError(f"expected a share between 0 and 1 for validation, got {self.validation}")
        if not 0 <= self.label_noise <= 1:
            raise ValueError(f"expected a share from 0 to 1 as label noise, got {self.label_noise}")
        if not self.imbalance >= 1:
            raise ValueError(f"expected an imbalance of at least 1, got {self.imbalance}")


@dataclass(frozen=True, slots=True)
class Architecture:
    """A built-in network such as `mlp` or `cnn(width=32)`, or a factory of the user's own."""

    name: str
    """The built-in's name with its options, or "package.module:callable"."""
    factory_kwargs: str = "{}"
    """What a factory of the user's own is called with, a JSON object."""

    @property
    def is_built_in(self) -> bool:
        """Whether it is a built-in network."""
        return ":" not in self.name


@dataclass(frozen=True, slots=True)
class Training:
    """How a model is trained, the rate aside; the same for every variant."""

    epochs: int = 10
    batch: int = 128
    activation_lr: float | None = None
    """Learning rate of the activations' parameters; None: what is safe with the optimizer."""
    weight_decay: float = 0.01
    """Of the weights; the activations' parameters have none."""
    optimizer: Optimizer = "adamw"
    schedule: Schedule = "onecycle"
    patience: int | None = None
    """Epochs without a better validation loss after which training stops; None: never."""
    guard_tries: int | None = None
    """How often a diverging run is rolled back before it is given up; None: runs are only watched."""
    loop: str | None = None
    """A training loop of the user's own, as "package.module:function"; None: the built-in one."""

    def __post_init__(self) -> None:
        for name, known in (("optimizer", get_args(Optimizer)), ("schedule", get_args(Schedule))):
            if getattr(self, name) not in known:
                raise ValueError(f"expected `{name}` among {', '.join(known)}, got `{getattr(self, name)}`")
        if self.epochs < 1 or self.batch < 2:
            raise ValueError(f"expected at least 1 epoch and a batch of at least 2, got {self}")
        if self.loop is not None and (self.patience, self.guard_tries) != (None, None):
            raise ValueError(
                "patience and guard tries belong to the built-in training, not to one's own loop"
            )


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One run: the same spec gives the same numbers, bit for bit, on the same machine and versions."""

    data: DataSpec
    data_digest: str
    architecture: Architecture
    baseline: str
    """The plain activation that the architecture has before a variant takes its place."""
    variant: str
    seed: int
    lr: float
    """Learning rate of the weights at its highest."""
    training: Training = field(default_factory=Training)
    code_digest: str | None = None
    """Digest of the user's own source files; None where none are used."""

    @property
    def key(self) -> str:
        """Hexadecimal digest of the spec and of the versions that compute it; the run's file name.

        Where the data lie does not matter, only what they are: `data_digest` stands for them. An option that
        is not set does not count, so that runs are still found when a later version has more options.
        """
        content = asdict(self, dict_factory=_keep_set) | {"versions": versions()}
        del content["data"]["source"]
        text = json.dumps(content, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def _keep_set(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in fields if value is not None}


def versions() -> dict[str, str]:
    """The versions of the packages on which the numbers depend."""
    return {name: version(name) for name in ("adaptact", "numpy", "torch")} | {
        "python": platform.python_version()
    }
