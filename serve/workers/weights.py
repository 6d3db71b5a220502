"""Where the workers share their models' weights: decided once, before they start."""

import logging
from pathlib import Path

from serve.engine.errors import quote
from serve.engine.weights.folder import WeightsFolder, find_usual_folder
from serve.engine.weights.options import PROVIDERS
from serve.settings import MEBIBYTE, Settings

AUTO, OFF = "auto", "off"

log = logging.getLogger("adaptact")


def settle_weights(settings: Settings) -> Settings:
    """The settings with the folder of shared weights, or `off`; the log says why it cannot be used."""
    is_automatic = settings.weights_cache == AUTO
    is_of_use = settings.provider in PROVIDERS and (settings.workers > 1 or bool(settings.model_memory))
    if settings.weights_cache == OFF or (is_automatic and not is_of_use):
        return settings.model_copy(update={"weights_cache": OFF})
    try:
        folder = find_usual_folder() if is_automatic else Path(settings.weights_cache).absolute()
    except RuntimeError as error:
        return _share_nothing(settings, str(error))
    try:
        WeightsFolder(folder, settings.weights_cache_mib * MEBIBYTE)
    except OSError as error:
        return _share_nothing(settings, f"{quote(str(folder))}: {error.strerror or error}")
    return settings.model_copy(update={"weights_cache": str(folder)})


def _share_nothing(settings: Settings, reason: str) -> Settings:
    log.warning(
        "each worker has weights of its own; set `--weights-cache` to a folder that only this user may write "
        "in, or `off`: %s",
        reason,
    )
    return settings.model_copy(update={"weights_cache": OFF})
