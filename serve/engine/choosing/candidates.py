"""The providers that a model is tried with, and whether their answers can stand for the CPU provider's."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from adaptact.languages.catalogue import mark
from adaptact.providers.catalogue import ProviderName, list_candidates, list_others
from convert.manifest.providers import CANNOT_RUN, UNUSABLE
from serve.engine.choosing.answers import Tolerance, find_difference, read_tolerances
from serve.engine.choosing.samples import make_strange
from serve.engine.choosing.task import ChoiceTask
from serve.engine.errors import InvalidInputError, ProviderError, StartupError
from serve.engine.loading import Cancellation
from serve.engine.model_files import ModelFiles
from serve.engine.providers import require_provider
from serve.engine.session import SESSION_ERRORS, Session, SessionOptions
from serve.engine.signature import Array

MOST_BYTES = 2**30
"""Of all sessions of a trial together, by the size of the file."""

log = logging.getLogger("adaptact")

STRANGE_SECONDS = 2.0
"""Of a run on a number that may be the number of turns of a loop."""

Answer = list[Array]
"""The outputs of one run."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider with so many threads, and the session of it; why there is none, where there is none."""

    provider: ProviderName
    threads: int
    session: Session | None
    reason: str = ""

    @property
    def open_session(self) -> Session:
        """The session of one that has it."""
        assert self.session is not None, self.reason
        return self.session


def open_others(
    task: ChoiceTask,
    files: ModelFiles,
    base: Session,
    inputs: Sequence[Mapping[str, Array]],
    answers: Sequence[Answer],
) -> Iterator[Candidate]:
    """All others, as far as there is memory for them."""
    room = max(len(list_others()), MOST_BYTES // max(files.count_bytes(), 1) - 1)
    failed: dict[str, str] = {}
    tolerances = read_tolerances(base.manifest)
    for place, (provider, threads) in enumerate(list_candidates(task.threads)[1:]):
        if place >= room:
            yield Candidate(provider, threads, None, mark("the model is too large to be loaded so often"))
            continue
        if provider in failed:
            yield Candidate(provider, threads, None, failed[provider])
            continue
        candidate = _open(files, SessionOptions(threads, provider, task.cuda))
        if candidate.session is not None and provider != "cpu":
            reason = _find_fault(base, candidate.session, inputs, answers, tolerances)
            candidate = Candidate(provider, threads, None if reason else candidate.session, reason)
        if candidate.session is None:
            failed[provider] = candidate.reason
        yield candidate


def _open(files: ModelFiles, options: SessionOptions) -> Candidate:
    provider, threads = options.provider, options.threads
    try:
        require_provider(provider)
        return Candidate(provider, threads, Session(files, options))
    except StartupError as error:
        log.info("%s is not tried: %s %s", provider, error, getattr(error, "detail", ""))
        return Candidate(
            provider, threads, None, UNUSABLE if isinstance(error, ProviderError) else CANNOT_RUN
        )


def _find_fault(
    base: Session,
    other: Session,
    inputs: Sequence[Mapping[str, Array]],
    answers: Sequence[Answer],
    tolerances: Mapping[str, Tolerance],
) -> str:
    """Why the other provider's answers cannot stand for the CPU provider's; empty where they can."""
    names = [spec.name for spec in base.signature.outputs]
    try:
        for sample, answer in zip(inputs, answers, strict=True):
            difference = find_difference(names, answer, run_all(other, sample), tolerances)
            if difference:
                return difference
    except InvalidInputError:
        return CANNOT_RUN
    except SESSION_ERRORS as error:
        log.info("%s fails on what the CPU provider answers: %s", other.provider, error)
        return CANNOT_RUN
    for strange in make_strange(inputs[0]):
        own, others = _answer(base, strange), _answer(other, strange)
        if own is None and others is not None:
            return mark("it answers whole numbers that are too large, which the CPU provider refuses")
        if own is not None and (others is None or find_difference(names, own, others, tolerances)):
            return mark("it answers large whole numbers otherwise")
    return ""


def _answer(session: Session, inputs: Mapping[str, Array]) -> Answer | None:
    """None where it is refused, or takes long, as a loop with so many turns does."""
    with Cancellation().limit_runs(STRANGE_SECONDS) as options:
        try:
            return session.run(inputs, session.signature.choose_outputs(None), options)
        except InvalidInputError:
            return None
        except SESSION_ERRORS:
            return None


def run_all(session: Session, inputs: Mapping[str, Array]) -> Answer:
    """All outputs, for inputs that fit the signature."""
    return session.run(inputs, session.signature.choose_outputs(None))
