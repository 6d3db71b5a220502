"""A model of a library by its name: `timm:resnet50`, `torchvision:resnet50`, `hf:FOLDER`."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from adaptive_act.libraries import timm_models, torchvision_models, transformers_models
from adaptive_act.libraries.library_model import DescribedModel, LibraryRequest
from adaptive_act.libraries.weights import require_weights

_READERS: Mapping[str, Callable[[LibraryRequest], DescribedModel]] = {
    "timm": timm_models.read,
    "hf": transformers_models.read,
    "torchvision": torchvision_models.read,
}


def load_library_model(source: str, request: LibraryRequest) -> DescribedModel:
    """The model that `source` names, as `is_library_name` knows it, with the weights of the request.

    Raises LibraryError where the library is missing or has no such model, CheckpointError where the weights
    are another model's, and UsageError where the user must give more.
    """
    library, _, name = source.partition(":")
    request = replace(request, name=name)
    if library != "hf":
        require_weights(request, library)
    result = _READERS[library](request)
    result.model.eval()
    return result
