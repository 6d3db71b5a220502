"""Models of timm by their names: `resnet50`, or with the tag of its weights, `resnet50.a1_in1k`.

The tag changes the description alone: how images are prepared, and which classes there are.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from adaptact.suggestions import suggest
from adaptive_act.checkpoint.description import TensorSpec
from adaptive_act.checkpoint.factory import BUILD_ERRORS, model_factory
from adaptive_act.errors import LibraryError
from adaptive_act.libraries.foreign import import_library, name_origin
from adaptive_act.libraries.images import find_difference
from adaptive_act.libraries.library_model import DescribedModel, LibraryRequest, require_options
from adaptive_act.libraries.weights import build_with_weights

FACTORY = "adaptive_act.libraries.timm_models:build"
_FILES = ("pretrained", "checkpoint", "cache", "file", "features_only")
INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")


@model_factory
def build(name: str, options: Mapping[str, Any] | None = None) -> nn.Module:
    """The model of this name, with random weights. Raises LibraryError where timm has none of it."""
    timm = import_library("timm", f"timm:{name}")
    given = dict(options or {})
    require_options(given, lambda option: option.startswith(_FILES), "timm")
    _require_known(timm, name)
    try:
        model: nn.Module = timm.create_model(name, pretrained=False, **given)
    except BUILD_ERRORS as error:
        reason = " ".join(str(error).split())[:300]
        raise LibraryError(f"timm cannot build `{name}` with {given}: {reason}") from error
    return model


def read(request: LibraryRequest) -> DescribedModel:
    """The model with the user's weights, and timm's description of it."""
    built = build_with_weights(request, f"`timm:{request.name}`", build)
    model, options = built.model, built.options
    config = _read_config(model, options)
    preprocessing, problem = describe_images(config)
    classes, named = _name_classes(model)
    return DescribedModel(
        model=model,
        factory=FACTORY,
        factory_kwargs={"name": request.name, "options": dict(options)},
        inputs=(TensorSpec("image", "float32", (None, *config["input_size"])),),
        outputs=("logits",) if getattr(model, "num_classes", 0) else None,
        classes=classes,
        preprocessing=preprocessing,
        files=() if request.weights is None else (request.weights,),
        notes=(
            name_origin(request.name, "timm"),
            *built.notes,
            *filter(None, (problem or _name_weights(request.name), named)),
        ),
    )


def _require_known(timm: Any, name: str) -> None:
    architecture, _, tag = name.partition(".")
    if ":" in name or "/" in name or not timm.is_model(architecture):
        raise LibraryError(
            f"timm {timm.__version__} has no model `{name}`",
            hint=suggest(architecture, timm.list_models()) or "its names: timm.list_models() in Python",
        )
    if tag and tag not in (tags := _list_tags(timm, architecture)):
        raise LibraryError(
            f"timm {timm.__version__} has no weights `{tag}` of `{architecture}`",
            hint=suggest(tag, tags) or f"expected one of: {', '.join(tags[:20]) or 'none'}",
        )


def _list_tags(timm: Any, architecture: str) -> list[str]:
    names = timm.list_models(f"{architecture}.*", pretrained=True)
    return [name.partition(".")[2] for name in names]


def _name_weights(name: str) -> str | None:
    """Whose preprocessing it is, where the name says nothing of it, and timm has several."""
    timm = import_library("timm", f"timm:{name}")
    others = _list_tags(timm, name)
    if "." in name or len(others) < 2:
        return None
    tag = timm.get_pretrained_cfg(name).tag
    other = next(other for other in reversed(others) if other != tag)
    return (
        f"preprocessing is that of timm's weights `{tag}`; for that of others, name them as "
        f"`timm:{name}.{other}`"
    )


def _read_config(model: nn.Module, options: Mapping[str, Any]) -> dict[str, Any]:
    """What timm says of the images: sizes, interpolation, mean and so on."""
    data = import_library("timm.data", "timm")
    size = options.get("img_size")
    arguments = {"in_chans": options.get("in_chans")}
    if isinstance(size, int):
        arguments["img_size"] = size
    elif isinstance(size, Sequence):
        arguments["input_size"] = [options.get("in_chans", 3), *size]
    config: dict[str, Any] = data.resolve_model_data_config(model, args=arguments)
    channels = options.get("in_chans", config["input_size"][0])
    return {**config, "input_size": (channels, *config["input_size"][1:])}


def describe_images(config: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    """The preprocessing, or why there is none, in words."""
    channels, height, width = config["input_size"]
    mode = config.get("crop_mode") or "center"
    sides = [math.floor(side / config["crop_pct"]) for side in (height, width)]
    if channels != 3 or len(config["mean"]) != 3:
        return None, f"preprocessing is not described: the model takes {channels} channels"
    if mode not in ("center", "squash") or (mode == "center" and sides[0] != sides[1]):
        return None, f"preprocessing is not described: timm's crop mode `{mode}` at {height} x {width}"
    if config["interpolation"] not in INTERPOLATIONS:
        return None, f"preprocessing is not described: timm's interpolation `{config['interpolation']}`"
    described = {
        "color": "RGB",
        "resize": sides[0] if mode == "center" else sides,
        "crop": [height, width],
        "interpolation": config["interpolation"],
        "mean": [float(number) for number in config["mean"]],
        "std": [float(number) for number in config["std"]],
        "layout": "NCHW",
    }
    factory = import_library("timm.data.transforms_factory", "timm")
    transform = factory.create_transform(**config, is_training=False)
    difference = find_difference(described, lambda image: np.asarray(transform(image)))
    if difference is not None:
        return None, f"preprocessing is not described: timm's own transform is another: {difference}"
    return described, None


def _name_classes(model: nn.Module) -> tuple[tuple[str, ...] | None, str | None]:
    """The names of ImageNet's classes where the model has as many as the weights that timm describes."""
    count = getattr(model, "num_classes", None)
    if not count or count != getattr(model, "pretrained_cfg", {}).get("num_classes"):
        return None, None
    data = import_library("timm.data", "timm")
    subset = data.infer_imagenet_subset(model)
    if subset is None:
        return None, None
    try:
        names = tuple(data.ImageNetInfo(subset).label_descriptions())
    except (AssertionError, OSError, LookupError):  # a subset that timm infers, and has no names of
        return None, f"classes are not described: timm has no names of `{subset}`"
    if len(names) != count:
        return None, f"classes are not described: timm names {len(names)} of {count}"
    return names, f"classes are those of {subset}, as timm names them; others by --classes"
