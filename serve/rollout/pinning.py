"""Which versions an experiment compares: chosen when a comparison begins to run, and the same to its end.

An experiment runs only while its control is what answers whoever names no version. So a reply in shadow is
the one that there would be without the experiment, and a roll-back leads to what was compared.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from serve.engine.aliases import STABLE
from serve.engine.engine import Engine
from serve.engine.errors import EngineError, ModelUnloadedError, quote
from serve.engine.model import ServedModel
from serve.experiments.definition import Experiment
from serve.experiments.errors import UnfitVariantsError
from serve.experiments.stages import RUNNING, Phase, Pin


def prepare(engine: Engine, experiment: Experiment, phase: Phase) -> Phase:
    """The phase, in which the versions are pinned if it is the first of its comparison that runs.

    Raises `UnfitVariantsError` where one of them cannot answer or is not any more what it was, or where the
    control is not what answers by default.
    """
    if phase.stage not in RUNNING:
        return phase
    if not phase.pins:
        try:
            found = {each.name: _find(engine, experiment, each.name) for each in experiment.variants}
        except EngineError as error:
            raise UnfitVariantsError(f"experiment {quote(experiment.name)}: {error}") from error
        at = phase.started_at
        pins = {name: Pin(model.name, model.version, model.digest, at) for name, model in found.items()}
        phase = replace(phase, pins=pins)
    change = find_change(engine, experiment, phase)
    if change is not None:
        raise UnfitVariantsError(f"experiment {quote(experiment.name)} cannot run: {change}")
    return phase


def find_change(engine: Engine, experiment: Experiment, phase: Phase) -> str | None:
    """Why the experiment must not run here; None if everything is as it was when the comparison began."""
    for variant, pin in phase.pins.items():
        if (lost := find_loss(engine, variant, pin)) is not None:
            return lost
    control = phase.pins.get(experiment.control.name)
    return None if control is None else _find_other_default(engine, experiment, control)


def find_lasting_change(
    engine: Engine, catch_up: Callable[[], bool], experiment: Experiment, phase: Phase
) -> str | None:
    """As `find_change`, once this process follows what others have changed, which `catch_up` sees to.

    Else an alias that was set at another server, just before the experiment was started there, would be the
    reason to pause it. Nor is a model the reason that is unloaded for want of memory: it is loaded again.
    """
    if find_change(engine, experiment, phase) is None or not catch_up():
        return None
    change = find_change(engine, experiment, phase)
    return None if _is_unloaded(engine, experiment, phase) else change


def _is_unloaded(engine: Engine, experiment: Experiment, phase: Phase) -> bool:
    """Whether one of the models is unloaded to make room for others."""
    for name, version in (
        *((pin.model, pin.version) for pin in phase.pins.values()),
        (experiment.model, None),
    ):
        try:
            engine.memory.require(name, version)
        except ModelUnloadedError:
            return True
        except EngineError:
            continue
    return False


def find_loss(engine: Engine, variant: str, pin: Pin) -> str | None:
    """Why the variant's version cannot stand for it any more; None if it can."""
    label = f"{quote(variant)} is version {quote(pin.version)} of {quote(pin.model)}"
    try:
        model = engine.memory.require(pin.model, pin.version)
    except EngineError:
        return f"{label}, which does not answer now; load it again, or start anew with another"
    if pin.digest and model.digest and pin.digest != model.digest:
        return f"{label}, whose file is another one now; put the old one back, or start anew"
    return None


def find_moved(engine: Engine, experiment: Experiment, phase: Phase) -> Iterator[str]:
    """Which variants mean other versions by now than those that are compared to the end."""
    for name, pin in phase.pins.items():
        try:
            version = _find(engine, experiment, name).version
        except EngineError:
            continue  # such as an alias that was removed
        if version != pin.version:
            yield (
                f"{quote(name)} means version {quote(version)} of {quote(pin.model)} by now; the comparison "
                f"goes on with version {quote(pin.version)}, with which it began"
            )


def _find_other_default(engine: Engine, experiment: Experiment, control: Pin) -> str | None:
    name = experiment.model
    label = f"the control {quote(experiment.control.name)}"
    if control.model != name:
        return (
            f"{label} is the model {quote(control.model)}, and without the experiment {quote(name)} answers, "
            f"as it does in a roll-back; let a version of {quote(name)} be the control"
        )
    try:
        default = engine.memory.require(name, None).version
    except EngineError as error:
        return f"nothing answers whoever names no version: {error}"
    if default == control.version:
        return None
    return (
        f"whoever names no version is answered by version {quote(default)} of {quote(name)}, and not by "
        f"{label}, version {quote(control.version)}, so shadow and a roll-back would change replies; point "
        f"the alias {quote(STABLE)} at it: PUT /adaptact/v1/models/{name}/aliases/{STABLE} "
        f'{{"version": "{control.version}"}}'
    )


def _find(engine: Engine, experiment: Experiment, name: str) -> ServedModel:
    variant = experiment.find_variant(name)
    assert variant is not None
    return engine.memory.require(experiment.model_of(variant), variant.version)
