import pytest

from adaptive_act.errors import StudyError
from adaptive_act.study.plan import GAMMAS, degrade_data, list_ablations, list_run_specs, sweep_gamma
from tests.adaptive_act.study.models import plan


def test_runs_are_those_of_each_seed_together() -> None:
    specs = list_run_specs(plan("PReLU", "ELU"), "0")
    assert [(spec.seed, spec.variant) for spec in specs] == [
        *((0, name) for name in ("ReLU", "PReLU", "ELU")),
        *((1, name) for name in ("ReLU", "PReLU", "ELU")),
    ]


def test_names_are_normalised_without_the_baseline() -> None:
    asked = plan("NEAAF( side=both )", "NEAAF(side=both)", "ReLU")
    assert asked.variants == ("NEAAF(side=both)",)


@pytest.mark.parametrize("variants", [("ReLU",), ("NoSuch",)])
def test_a_plan_that_compares_nothing_is_refused(variants: tuple[str, ...]) -> None:
    with pytest.raises(StudyError):
        plan(*variants)


def test_ablations_freeze_share_and_switch_off() -> None:
    found = list_ablations(plan("PReLU", "ELU", "Swish per channel", ablations=True))
    assert [(each.change, each.variant, each.against) for each in found] == [
        ("nonlinearity off", "Identity", "ReLU"),
        ("parameters frozen", "PReLU frozen", "PReLU"),
        ("per channel", "PReLU per channel", "PReLU"),
        ("parameters frozen", "Swish per channel frozen", "Swish per channel"),
        ("shared", "Swish", "Swish per channel"),
    ]


def test_the_cubic_terms_strength_is_swept_for_each_neaaf() -> None:
    sweep = sweep_gamma(plan("PReLU", "NEAAF(side=both, gamma=0.2)", ablations=True))
    assert list(sweep) == ["NEAAF(side=both, gamma=0.2)"]
    (levels,) = sweep.values()
    assert [gamma for gamma, _ in levels] == list(GAMMAS)
    assert levels[1][1] == f"NEAAF(side=both, gamma={GAMMAS[1]})"


def test_robustness_spoils_the_training_data_for_everyone() -> None:
    asked = plan("PReLU", robustness=True)
    assert {each.way for each in degrade_data(asked)} == {"label noise", "class imbalance"}
    specs = list_run_specs(asked, "0")
    assert len(specs) == 2 * 2 * (1 + len(degrade_data(asked)))
    assert len({spec.key for spec in specs}) == len(specs)
