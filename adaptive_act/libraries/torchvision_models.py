"""Models of torchvision by their names: `resnet50`, or with the weights, `resnet50.IMAGENET1K_V1`.

What follows the dot changes the description alone: how images are prepared, and which classes there are.
Without it the description is that of torchvision's default weights.
"""

import inspect
from collections.abc import Mapping
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
from adaptive_act.libraries.timm_models import INTERPOLATIONS
from adaptive_act.libraries.weights import build_with_weights

FACTORY = "adaptive_act.libraries.torchvision_models:build"


@model_factory
def build(name: str, options: Mapping[str, Any] | None = None) -> nn.Module:
    """The model of this name, with random weights. Raises LibraryError where torchvision has none of it."""
    models = import_library("torchvision.models", f"torchvision:{name}")
    architecture = name.partition(".")[0]
    given = dict(options or {})
    require_options(given, lambda option: "weights" in option or option == "progress", "torchvision")
    builder = _find_builder(models, architecture)
    backbone = (
        {"weights_backbone": None} if "weights_backbone" in inspect.signature(builder).parameters else {}
    )
    try:
        model: nn.Module = models.get_model(architecture, weights=None, **backbone, **given)
    except BUILD_ERRORS as error:
        reason = " ".join(str(error).split())[:300]
        raise LibraryError(f"torchvision cannot build `{name}` with {given}: {reason}") from error
    return model


def read(request: LibraryRequest) -> DescribedModel:
    """The model with the user's weights, and torchvision's description of it."""
    models = import_library("torchvision.models", f"torchvision:{request.name}")
    weights, chosen = _choose_weights(models, request.name)
    transform = weights.transforms()
    sides = getattr(transform, "resize_size", None), getattr(transform, "crop_size", None)
    if not all(isinstance(side, list) and len(side) == 1 for side in sides):
        raise LibraryError(
            f"`torchvision:{request.name}` is no classifier of images, which alone are read by name",
            hint="name a function of yours that builds it: --factory package.module:callable, --input",
        )
    built = build_with_weights(request, f"`torchvision:{request.name}`", build)
    preprocessing, problem = _describe_images(transform)
    classes = tuple(weights.meta.get("categories", ())) or None
    if classes is not None and "num_classes" in built.options:
        classes = None
    return DescribedModel(
        model=built.model,
        factory=FACTORY,
        factory_kwargs={"name": request.name, "options": dict(built.options)},
        inputs=(TensorSpec("image", "float32", (None, 3, *2 * transform.crop_size)),),
        outputs=("logits",),
        classes=classes,
        preprocessing=preprocessing,
        files=() if request.weights is None else (request.weights,),
        notes=(name_origin(request.name, "torchvision"), *built.notes, *filter(None, (problem, chosen))),
    )


def _find_builder(models: Any, name: str) -> Any:
    names = models.list_models()
    if name not in names:
        raise LibraryError(
            f"torchvision has no model `{name}`",
            hint=suggest(name, names) or "its names: torchvision.models.list_models() in Python",
        )
    return models.get_model_builder(name)


def _choose_weights(models: Any, name: str) -> tuple[Any, str]:
    """The weights whose description is taken, and which they are, in words."""
    architecture, _, wanted = name.partition(".")
    _find_builder(models, architecture)
    known = {str(weights.name): weights for weights in models.get_model_weights(architecture)}
    if wanted and wanted not in known:
        raise LibraryError(
            f"torchvision has no weights `{wanted}` of `{architecture}`",
            hint=suggest(wanted, known) or f"expected one of: {', '.join(known) or 'none'}",
        )
    chosen = wanted or str(models.get_model_weights(architecture).DEFAULT.name)
    others = ", ".join(f"`{architecture}.{other}`" for other in known if other != chosen)
    advice = f"; there are {others} as well" if others and not wanted else ""
    return known[chosen], f"classes and preprocessing are those of torchvision's weights {chosen}{advice}"


def _describe_images(transform: Any) -> tuple[dict[str, Any] | None, str | None]:
    """The preprocessing, or why there is none, in words."""
    interpolation = str(getattr(transform.interpolation, "value", transform.interpolation))
    if interpolation not in INTERPOLATIONS:
        return None, f"preprocessing is not described: torchvision's interpolation `{interpolation}`"
    described = {
        "color": "RGB",
        "resize": transform.resize_size[0],
        "crop": 2 * transform.crop_size,
        "interpolation": interpolation,
        "mean": list(transform.mean),
        "std": list(transform.std),
        "layout": "NCHW",
    }
    difference = find_difference(described, lambda image: np.asarray(transform(image)))
    if difference is not None:
        return None, f"preprocessing is not described: torchvision's own transform is another: {difference}"
    return described, None
