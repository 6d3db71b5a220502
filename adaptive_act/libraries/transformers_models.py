"""Models of transformers from a folder, as `save_pretrained` writes it: config.json and the weights.

The class is the one that `architectures` names, in the installed library; code that the folder brings along
(`auto_map`) never runs.
"""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaptact.suggestions import suggest
from adaptive_act.checkpoint.factory import BUILD_ERRORS, model_factory
from adaptive_act.errors import CheckpointError, LibraryError
from adaptive_act.libraries.foreign import import_library, name_origin
from adaptive_act.libraries.library_model import DescribedModel, LibraryRequest, require_options
from adaptive_act.libraries.transformers_folder import Folder, read_tensors
from adaptive_act.libraries.transformers_images import describe_images
from adaptive_act.libraries.transformers_inputs import LENGTH, describe_inputs, find_longest
from adaptive_act.libraries.weights import (
    count_meta_bytes,
    limit_memory,
    require_memory,
    require_weights,
    seed_random_weights,
)

FACTORY = "adaptive_act.libraries.transformers_models:build"
MOST_LAYERS = 10_000
_LEFT_OUT = ("auto_map", "attn_implementation", "experts_implementation", "architectures", "dtype")
_REFUSED = ("quantization_config", "use_pretrained_backbone", "use_timm_backbone", "backbone")
"""Settings that name files or weights elsewhere, or change what the weights are."""
_OF_TIMM = ("timm_wrapper", "timm_backbone")


class ByKeyword(nn.Module):
    """A model that is given its inputs in the order of `names`, where its own order is another one."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.names = tuple(names)

    def forward(self, *inputs: Tensor) -> Any:
        """What the model gives for the inputs by their names."""
        return self.model(**dict(zip(self.names, inputs, strict=True)))


@model_factory
def build(architecture: str, config: Mapping[str, Any], inputs: Sequence[str]) -> nn.Module:
    """The model of this class of transformers, with random weights, taking the named inputs in their order.

    Raises LibraryError where the library has no such class, or cannot build it of this configuration.
    """
    kind = _find_class(architecture, config)
    try:
        model = kind._from_config(_make_config(kind, config), dtype=torch.float32)
    except BUILD_ERRORS as error:
        raise _cannot_build(architecture, error) from error
    return _order_inputs(model, inputs)


def read(request: LibraryRequest) -> DescribedModel:
    """The model of the folder with its weights, or the user's, and what the folder says of it."""
    require_options(request.options, lambda option: True, "a folder of transformers")
    folder = Folder(Path(request.name))
    config = folder.read_config()
    architecture = _read_architecture(config, folder.path)
    files = () if request.random_weights else folder.find_weights(request.weights)
    if request.random_weights:
        require_weights(request, "hf")
    model, notes = _load(architecture, config, files)
    model.eval()
    images, problem = _describe_images_of(model, folder.path)
    inputs = describe_inputs(model, images)
    names = [spec.name for spec in inputs]
    is_text = names[0] == "input_ids"
    longest = find_longest(model) if is_text else None
    tokenizer, missing = folder.read_tokenizer(longest, None) if is_text else (None, None)
    classes, unnamed = _read_classes(architecture, config)
    return DescribedModel(
        model=_order_inputs(model, names),
        factory=FACTORY,
        factory_kwargs={"architecture": architecture, "config": _clean(config), "inputs": names},
        inputs=inputs,
        classes=classes,
        preprocessing=images,
        tokenizer=tokenizer,
        longest={} if longest is None else {LENGTH: longest},
        below={"attention_mask": 2} if is_text else {},
        files=(folder.path / "config.json", *files) if files else (),
        notes=(name_origin(architecture, "transformers"), *notes, *filter(None, (problem, missing, unnamed))),
    )


def _read_architecture(config: Mapping[str, Any], folder: Path) -> str:
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not architectures or not isinstance(architectures[0], str):
        raise LibraryError(
            f"`{folder / 'config.json'}` has no `architectures`, expected the name of the model's class, as "
            '["BertForSequenceClassification"]'
        )
    return str(architectures[0])


def _find_class(architecture: str, config: Mapping[str, Any]) -> Any:
    """The class of the installed library. Raises LibraryError where it has none of this name."""
    transformers = import_library("transformers", "hf")
    kind: Any = getattr(transformers, architecture, None) if architecture.isidentifier() else None
    if not isinstance(kind, type) or not issubclass(kind, transformers.PreTrainedModel):
        own = (
            " (its `auto_map` names code of the folder's own, which never runs)"
            if "auto_map" in config
            else ""
        )
        names = [name for name in dir(transformers) if name[:3] == architecture[:3]]
        raise LibraryError(
            f"transformers {transformers.__version__} has no model `{architecture[:80]}`{own}",
            hint=suggest(architecture, names),
        )
    _require_plain(config)
    expected = getattr(getattr(kind, "config_class", None), "model_type", None)
    if config.get("model_type", expected) != expected:
        raise LibraryError(
            f"the config's `model_type` is `{str(config['model_type'])[:80]}`, and `{architecture}` is of "
            f"`{expected}`"
        )
    return kind


def _require_plain(config: Mapping[str, Any]) -> None:
    """Raises LibraryError where the configuration, or one in it, asks for more than numbers and names."""
    refused = next((key for key in _REFUSED if config.get(key)), None)
    if refused is not None:
        raise LibraryError(f"the config asks for `{refused}`, which is not supported here")
    if config.get("model_type") in _OF_TIMM:
        raise LibraryError("the config is that of a model of timm", hint="name it: timm:NAME --weights FILE")
    for part in _list_parts(config).values():
        _require_plain(part)


def _clean(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without what names code, or where it came from, and so are those in it."""
    kept = {
        key: value
        for key, value in config.items()
        if key not in _LEFT_OUT and not key.startswith(("_", "torch_"))
    }
    return kept | {key: _clean(part) for key, part in _list_parts(kept).items()}


def _list_parts(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The configurations of its parts, by their keys."""
    return {key: part for key, part in config.items() if key.endswith("config") and isinstance(part, dict)}


def _make_config(kind: Any, config: Mapping[str, Any]) -> Any:
    made = kind.config_class.from_dict({**_clean(config), "use_cache": False})
    layers = getattr(made, "num_hidden_layers", 0)
    if isinstance(layers, int) and layers > MOST_LAYERS:
        raise LibraryError(f"the config has {layers} layers, expected at most {MOST_LAYERS}")
    return made


def _load(
    architecture: str, config: Mapping[str, Any], files: tuple[Path, ...]
) -> tuple[nn.Module, tuple[str, ...]]:
    """The model with the weights of the files, in float32, and what is to be said of them."""
    kind = _find_class(architecture, config)
    tensors = read_tensors(files) if files else None
    with limit_memory(tensors, f"the model of `{architecture}`"), seed_random_weights():
        try:
            made = _make_config(kind, config)
            if tensors is None:
                return kind._from_config(made, dtype=torch.float32), ("random weights",)
            _require_plausible(kind, made, tensors)
            model, info = kind.from_pretrained(
                None,
                config=made,
                state_dict=tensors,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are named below
                dtype=torch.float32,
            )
        except BUILD_ERRORS as error:
            raise _cannot_build(architecture, error) from error
    return model, _check_loaded(info, tensors, architecture, files[-1])


def _require_plausible(kind: Any, config: Any, tensors: Mapping[str, Tensor]) -> None:
    """Raises CheckpointError where the model has more layers or numbers than the tensors could fill.

    Transformers makes the tensors in threads of its own, where a limit on memory does not see them. So the
    model is built without memory first.
    """
    layers = getattr(config, "num_hidden_layers", 0)
    if isinstance(layers, int) and layers > len(tensors):
        raise CheckpointError(
            f"the config has {layers} layers, and the weights {len(tensors)} tensors: they do not fit"
        )
    with torch.device("meta"):
        size = count_meta_bytes(kind._from_config(config, dtype=torch.float32))
    require_memory(size, tensors, f"the model of `{kind.__name__}`")


def _check_loaded(
    info: Mapping[str, Any], tensors: Mapping[str, Tensor], architecture: str, file: Path
) -> tuple[str, ...]:
    """What is to be said of the weights. Raises CheckpointError where the model lacks some."""
    missing, left = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    wrong = sorted(str(key[0] if isinstance(key, tuple) else key) for key in info.get("mismatched_keys", ()))
    for kind, names in (("lacks", missing), ("has in another shape", wrong)):
        if names:
            shown = ", ".join(f"`{name}`" for name in names[:5])
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            raise CheckpointError(f"`{file}` does not fit `{architecture}`: it {kind} {shown}{more}")
    half = {
        str(value.dtype).removeprefix("torch.") for value in tensors.values() if value.is_floating_point()
    }
    notes = [f"weights in {', '.join(sorted(half))} taken as float32"] if half - {"float32"} else []
    notes += [f"{len(left)} tensors of other parts left out, as `{left[0]}`"] if left else []
    return tuple(notes)


def _cannot_build(architecture: str, error: Exception) -> LibraryError:
    reason = " ".join(str(error).split())[:400]
    return LibraryError(f"transformers cannot build `{architecture}`: {type(error).__name__}: {reason}")


def _order_inputs(model: nn.Module, names: Sequence[str]) -> nn.Module:
    own = list(inspect.signature(model.forward).parameters)[: len(names)]
    return model if own == list(names) else ByKeyword(model, names)


def _describe_images_of(model: nn.Module, folder: Path) -> tuple[dict[str, Any] | None, str | None]:
    is_image = getattr(model, "main_input_name", "") == "pixel_values"
    return describe_images(folder) if is_image else (None, None)


def _read_classes(architecture: str, config: Mapping[str, Any]) -> tuple[tuple[str, ...] | None, str | None]:
    """The names in `id2label`, where it names classes at all, and why there are none, in words."""
    labels = config.get("id2label")
    if "Classification" not in architecture or (isinstance(labels, dict) and len(labels) < 2):
        return None, None
    if not isinstance(labels, dict):
        return None, "classes are not named: the config has no `id2label`; name them: --classes labels.txt"
    names = [labels.get(str(place)) for place in range(len(labels))]
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            got = f"`{str(name)[:40]}` as the name of" if str(place) in labels else "no name for"
            raise LibraryError(
                f"the config's `id2label` has {got} class {place}, expected a name for each from 0 to "
                f"{len(names) - 1}",
                hint="name it there, in config.json",
            )
    if names == [f"LABEL_{place}" for place in range(len(names))]:
        return None, (
            f"classes are not named: the config has LABEL_0 to LABEL_{len(names) - 1}, which transformers "
            "writes where nobody named them; name them: --classes labels.txt"
        )
    return tuple(map(str, names)), None
