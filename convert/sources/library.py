"""Models of timm, transformers and torchvision, by name or folder, with the library's own description."""

import hashlib
import json

from adaptact import errors as console
from adaptive_act.errors import AdaptiveActError
from adaptive_act.libraries.library_model import DescribedModel, LibraryRequest
from adaptive_act.libraries.load import load_library_model
from convert.errors import SourceError, UsageError
from convert.manifest.size_bounds import SizeBounds
from convert.model_io.inputs import InputSpec, add_size_bounds, build_inputs
from convert.sources.source import Source, SourceRequest, compute_digest


def read(request: SourceRequest) -> Source:
    """The model that the request names as `timm:resnet50`, with the weights that the user has for it.

    Raises SourceError where the library has no such model, or the weights are another one's, and UsageError
    where the user must give more.
    """
    asked = LibraryRequest(
        name="",
        weights=request.weights,
        random_weights=request.random_weights,
        options=request.factory_kwargs,
        state_key=request.state_key,
    )
    if request.factory is not None:
        raise UsageError(f"`{request.path}` names the model, and so does `--factory`; leave one of them out")
    try:
        loaded = load_library_model(str(request.path), asked)
    except AdaptiveActError as error:
        raise SourceError(str(error), hint=getattr(error, "hint", None)) from error
    except console.UsageError as error:
        raise UsageError(str(error), error.hint) from error
    return Source(
        model=loaded.model,
        inputs=_choose_inputs(loaded, request),
        outputs=loaded.outputs,
        classes=loaded.classes,
        preprocessing=loaded.preprocessing,
        digest=compute_digest(*loaded.files) if loaded.files else _digest_random(loaded),
        kind=str(request.path).partition(":")[0],
        notes=loaded.notes,
        tokenizer=loaded.tokenizer,
    )


def _choose_inputs(loaded: DescribedModel, request: SourceRequest) -> tuple[InputSpec, ...]:
    """The user's, or else the library's with what is known of their sizes and numbers."""
    if request.inputs:
        if len(request.inputs) != len(loaded.inputs):
            expected = ", ".join(f"`{spec.name}`" for spec in loaded.inputs)
            raise UsageError(
                f"`--input` describes {len(request.inputs)} inputs, and the model takes {expected}"
            )
        return tuple(request.inputs)
    described = [
        InputSpec(spec.name, spec.dtype, spec.shape, loaded.below.get(spec.name))
        for spec in build_inputs(loaded.inputs)
    ]
    return add_size_bounds(described, [SizeBounds(name, 1, most) for name, most in loaded.longest.items()])


def _digest_random(loaded: DescribedModel) -> str:
    """Of what random weights are made from, which is the same each time."""
    text = json.dumps([loaded.factory, dict(loaded.factory_kwargs)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
