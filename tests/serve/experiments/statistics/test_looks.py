"""What a look says, and what all looks say together."""

from dataclasses import replace

from serve.experiments.statistics.looks import History, Look

LOOK = Look(effect=2.0, low=1.0, high=3.0, log_e=5.0, control=10.0, candidate=12.0, units=(100, 100))


def test_a_look_is_decided_when_its_interval_leaves_out_no_effect() -> None:
    assert LOOK.is_decided
    assert not replace(LOOK, low=-1.0).is_decided
    assert not replace(LOOK, scale="ratio").is_decided
    assert replace(LOOK, scale="ratio", low=0.2, high=0.9).is_decided


def test_a_history_keeps_the_most_evidence_and_what_all_intervals_share() -> None:
    history = History.begin(LOOK).add(replace(LOOK, low=0.5, high=2.5, log_e=2.0))
    assert (history.log_e, history.low, history.high, history.looks) == (5.0, 1.0, 2.5, 2)
    assert history.is_steady


def test_a_repeated_look_changes_nothing_but_the_count() -> None:
    history = History.begin(LOOK)
    assert replace(history.add(LOOK), looks=1) == history


def test_only_the_last_look_counts_once_the_effect_has_left_what_all_intervals_share() -> None:
    corrected = replace(LOOK, effect=-0.5, low=-2.0, high=1.5, log_e=0.2)
    history = History.begin(LOOK).add(corrected)
    assert (history.low, history.high, history.log_e, history.looks) == (-2.0, 1.5, 0.2, 2)
    assert history.is_steady
    again = history.add(replace(corrected, low=-1.0))
    assert (again.low, again.high) == (-1.0, 1.5)


def test_intervals_apart_show_that_the_effect_changed() -> None:
    history = History.begin(LOOK).add(replace(LOOK, low=4.0, high=6.0))
    assert not history.is_steady
    assert (history.low, history.high) == (4.0, 6.0)
    assert not history.add(replace(LOOK, low=5.0, high=7.0)).is_steady
