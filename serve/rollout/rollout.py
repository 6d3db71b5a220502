"""The experiments of one process: opened with its engine, closed before it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from serve.engine.engine import Engine
from serve.engine.sampling import Sampler
from serve.experiments.metric_names import MetricNames
from serve.experiments.request_ids import RequestIds
from serve.experiments.store.aliases import AliasTable
from serve.experiments.store.database import Store, open_store
from serve.experiments.store.exposures import ExposureWriter
from serve.experiments.store.registry import Registry
from serve.experiments.store.summaries import Summaries
from serve.experiments.store.unit_keys import require_key
from serve.experiments.units import load_or_make_key
from serve.rollout.administration import Administration
from serve.rollout.aliases import SharedAliases
from serve.rollout.cleaning import Cleaner
from serve.rollout.conductor import Conductor
from serve.rollout.defining import define_from_file
from serve.rollout.effects import Effects
from serve.rollout.expense import measure_expense
from serve.rollout.following import Follower
from serve.rollout.options import KEPT_PER_SECOND, MOST_AT_ONCE, RolloutOptions
from serve.rollout.pinning import find_lasting_change, prepare
from serve.rollout.planning import Planner
from serve.rollout.promotion import follow_decisions
from serve.rollout.recorder import Recorder
from serve.rollout.trials import Trials

log = logging.getLogger("adaptact")


@dataclass(frozen=True, slots=True)
class Rollout:
    """What the doors and the administration of experiments use."""

    store: Store
    registry: Registry
    administration: Administration
    planner: Planner
    trials: Trials
    ids: RequestIds
    follower: Follower
    conductor: Conductor
    cleaner: Cleaner
    metric_names: MetricNames
    recorder: Recorder
    aliases: SharedAliases | None
    """What keeps the aliases of all servers of a database; None where a folder is the store."""

    def close(self) -> None:
        """End all threads; what was noted is written."""
        self.cleaner.close()
        self.conductor.close()
        self.follower.close()
        self.recorder.close()
        self.store.close()


def open_rollout(engine: Engine, options: RolloutOptions, number_of: Callable[[Exception], int]) -> Rollout:
    """The experiments in the store, and those that the file of definitions adds or amends.

    `number_of` gives the number by which an error is stored. Raises `StoreError`, and `DefinitionError` for
    the file.
    """
    key = load_or_make_key(options.keys)
    store = open_store(options.where)
    require_key(store, key, options.keys)
    ids = RequestIds(key)
    registry = Registry(store)
    aliases = SharedAliases(engine, AliasTable(store)) if "://" in options.where else None
    if aliases is not None:
        aliases.follow()
    if options.definitions is not None:
        # First what answers by default, which is lost without a state folder, and what runs depends on.
        follow_decisions(engine, registry.read_all())
        define_from_file(registry, options.definitions, prepare=partial(prepare, engine))
    sampler = Sampler(KEPT_PER_SECOND, MOST_AT_ONCE)
    recorder = Recorder(ExposureWriter(store), ids, sampler)
    trials = Trials(engine, recorder, ids, number_of, sampler)

    summaries = Summaries(store)
    effects = Effects(engine, trials.follow)
    follow_aliases = (lambda: None) if aliases is None else aliases.follow
    follower = Follower(registry, effects.follow, check=effects.check, follow_aliases=follow_aliases)
    measure, find = partial(measure_expense, engine), partial(find_lasting_change, engine, follower.catch_up)
    conductor = Conductor(registry, summaries, follower.hurry, measure=measure, find_change=find)
    administration = Administration(engine, registry, summaries, follower.hurry)
    planner = Planner(engine, registry, summaries)
    cleaner = Cleaner(store, registry, options.retention_days)
    return Rollout(
        store,
        registry,
        administration,
        planner,
        trials,
        ids,
        follower,
        conductor,
        cleaner,
        MetricNames(registry),
        recorder,
        aliases,
    )
