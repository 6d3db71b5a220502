"""A file made for the provider that it is fastest with, where the user leaves the choice to measuring."""

from dataclasses import replace

import onnx_ir as ir

from adaptact.languages.catalogue import mark
from adaptact.providers.catalogue import ProviderName, find_provider
from adaptact.text import first_line
from convert.artefact.external import LARGEST, count_weight_bytes
from convert.artefact.stored_graph import open_graph
from convert.errors import ExportError, ParityError, PrecisionError, UsageError
from convert.manifest.manifest import Manifest
from convert.manifest.providers import CANNOT_RUN, ProviderChoiceRecord
from convert.parity.locate import skip_search
from convert.parity.verify import verify
from convert.precision.quantise import round_everywhere
from convert.rewriting.optimise import optimise, remaining_rules
from convert.tuning.providers import ProviderTarget, ProviderTask, choose_provider
from convert.tuning.tune import TuningOptions
from convert.writing import Conversion


def write_on_fastest(work: Conversion, options: TuningOptions) -> Manifest:
    """The manifest of the file, whose forms were tuned on the provider that was chosen.

    Where no file passes parity or its gate on that provider, the file is made for the CPU provider. Raises
    UsageError for a model too large to be loaded several times.
    """
    if count_weight_bytes(work.exported) > LARGEST:
        raise UsageError(
            "the providers cannot be timed on a model with so many bytes of weights",
            hint="name one with --provider, and leave out --tune",
        )
    work.on_stage("tune")
    machine = ProviderTarget(work.source.inputs, options)
    task = ProviderTask(
        build=lambda provider: _round(work, provider),
        judge=lambda provider: _judge(work, provider),
        machine=machine,
        on_progress=work.on_progress,
    )
    choice = choose_provider(task, options)
    left = max(options.seconds - choice.spent, 1.0)
    try:
        return _run_on(work, choice, replace(options, seconds=left)).write_exact_file()
    except (ParityError, ExportError, PrecisionError) as error:
        if choice.provider == "cpu":
            raise
        # What ONNX Runtime says of a graph may name files of this machine.
        reason = CANNOT_RUN if isinstance(error, ExportError) else first_line(error)
        fallen = _fall_back(choice, options.threads, reason)
        return _run_on(work, fallen, replace(options, seconds=left)).write_exact_file()


def _run_on(work: Conversion, choice: ProviderChoiceRecord, options: TuningOptions) -> Conversion:
    """The same stages with the provider and the threads that were chosen."""
    tuning = replace(options, provider=choice.provider, threads=choice.threads)
    file_options = replace(work.options, provider=choice.provider, tuning=tuning)
    return replace(work, options=file_options, choice=choice)


def _build(work: Conversion, provider: ProviderName) -> ir.Model:
    """The graph with the forms of the provider's table, before any rounding."""
    on_provider = replace(work, options=replace(work.options, provider=provider))
    return optimise(work.exported, remaining_rules(()), plan=on_provider.choose_plan(None)).model


def _round(work: Conversion, provider: ProviderName) -> ir.Model:
    graph = _build(work, provider)
    return round_everywhere(graph, work.original, work.sets, work.options.rounding, provider)


def _judge(work: Conversion, provider: ProviderName) -> None:
    """Raises ParityError unless the graph passes parity on the provider, ProviderError if it is missing."""
    find_provider(provider).require()
    names = [spec.name for spec in work.source.inputs]
    with open_graph(_build(work, provider), names, provider) as session:
        verify(work.original, session, work.sets, work.options.tolerances, skip_search)


def _fall_back(choice: ProviderChoiceRecord, threads: int, error: str) -> ProviderChoiceRecord:
    """The CPU provider, since the file that was made for the chosen one failed."""
    reason = mark("the file made for it failed: {reason}").format(reason=error)
    verdict = mark("`{provider}` was faster, and the file made for it failed: {reason}").format(
        provider=choice.provider, reason=error
    )
    candidates = tuple(each if each.reason else replace(each, reason=reason) for each in choice.candidates)
    return replace(choice, provider="cpu", threads=threads, candidates=candidates, verdict=verdict)
