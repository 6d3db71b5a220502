"""The form of each place in a graph: a provider's default, or one that was measured to be faster."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from convert.graph.rule import Rule
from convert.rewriting.forms import ALTERNATIVES
from convert.rewriting.small_forms import SMALL_FORMS

UNCHANGED = "kept"
"""The form that the graph has already."""


@dataclass(frozen=True, slots=True)
class PlaceKind:
    """A kind of place and its forms, equal in value; the machine decides which is the fastest.

    A form is UNCHANGED, or the name of the rule that writes it.
    """

    name: str
    forms: tuple[str, ...]
    defaults: Mapping[str, str]
    """The form that each provider takes without a measurement."""
    operators: tuple[str, ...] = ()
    """The place's operators once all other rules rest; if empty, it is where the rules of its forms fire."""


KINDS: tuple[PlaceKind, ...] = (
    PlaceKind(
        "Elu",
        (UNCHANGED, "elu_to_exp", "elu_as_max", "elu_as_sum"),
        {"cpu": "elu_to_exp", "openvino": UNCHANGED, "cuda": UNCHANGED},
        ("Elu",),
    ),
    PlaceKind(
        "PRelu",
        (UNCHANGED, "prelu_to_relu", "prelu_as_min"),
        {"cpu": "prelu_to_relu", "openvino": UNCHANGED, "cuda": UNCHANGED},
        ("PRelu",),
    ),
    PlaceKind(
        "LeakyRelu",
        (UNCHANGED, "leakyrelu_to_relu", "leakyrelu_as_relu", "leakyrelu_as_max"),
        {"cpu": "leakyrelu_to_relu", "openvino": UNCHANGED, "cuda": UNCHANGED},
        ("LeakyRelu",),
    ),
    PlaceKind(
        "Mish",
        (UNCHANGED, "mish_to_sigmoid"),
        {"cpu": "mish_to_sigmoid", "openvino": UNCHANGED, "cuda": UNCHANGED},
    ),
    PlaceKind(
        "Softplus",
        (UNCHANGED, "softplus_to_log"),
        {"cpu": "softplus_to_log", "openvino": "softplus_to_log", "cuda": UNCHANGED},
        ("Softplus",),
    ),
    PlaceKind(
        "Gelu",
        (UNCHANGED, "gelu_as_erf"),
        {"cpu": UNCHANGED, "openvino": UNCHANGED, "cuda": UNCHANGED},
        ("Gelu",),
    ),
    PlaceKind(
        "HardSwish",
        (UNCHANGED, "hardswish_as_gate", "hardswish_as_clip"),
        {"cpu": UNCHANGED, "openvino": UNCHANGED, "cuda": UNCHANGED},
        ("HardSwish",),
    ),
    PlaceKind(
        "bound",
        (UNCHANGED, "bound_to_clip"),
        {"cpu": "bound_to_clip", "openvino": UNCHANGED, "cuda": UNCHANGED},
        ("Max", "Min"),
    ),
    PlaceKind(
        "Clip",
        (UNCHANGED, "clip_as_max_min"),
        {"cpu": UNCHANGED, "openvino": UNCHANGED, "cuda": UNCHANGED},
        ("Clip",),
    ),
    PlaceKind(
        "power",
        (UNCHANGED, "power_to_product"),
        {"cpu": "power_to_product", "openvino": UNCHANGED, "cuda": UNCHANGED},
        ("Pow",),
    ),
    PlaceKind(
        "polynomial",
        (UNCHANGED, "horner_to_pairs"),
        {"cpu": "horner_to_pairs", "openvino": UNCHANGED, "cuda": UNCHANGED},
    ),
    PlaceKind(
        "inner scale",
        (UNCHANGED, "inner_scale_into_previous"),
        {
            "cpu": "inner_scale_into_previous",
            "openvino": "inner_scale_into_previous",
            "cuda": "inner_scale_into_previous",
        },
    ),
    PlaceKind(
        "scale of a blend",
        (UNCHANGED, "scale_out_of_blend"),
        {"cpu": "scale_out_of_blend", "openvino": "scale_out_of_blend", "cuda": "scale_out_of_blend"},
    ),
    PlaceKind(
        "ReLU and line",
        (UNCHANGED, "relu_and_line_to_leakyrelu"),
        {"cpu": "relu_and_line_to_leakyrelu", "openvino": UNCHANGED, "cuda": UNCHANGED},
    ),
    PlaceKind(
        "layout of a term",
        (UNCHANGED, "plain_term_to_convolution"),
        {"cpu": "plain_term_to_convolution", "openvino": UNCHANGED, "cuda": UNCHANGED},
    ),
    PlaceKind(
        "layout of a sum",
        (UNCHANGED, "affine_to_batchnorm"),
        {"cpu": "affine_to_batchnorm", "openvino": "affine_to_batchnorm", "cuda": UNCHANGED},
    ),
    PlaceKind(
        "layout of a scale",
        (UNCHANGED, "scale_to_channels"),
        {"cpu": "scale_to_channels", "openvino": UNCHANGED, "cuda": UNCHANGED},
    ),
)
"""Every kind of place. The defaults on the CPU were measured, see docs/converting.md; on GPUs, where each
operator is a kernel that reads and writes all numbers once, the defaults have the fewest operators."""
LAYOUT = ("horner_to_pairs", "plain_term_to_convolution", "affine_to_batchnorm", "scale_to_channels")
"""The rules that look at the neighbours of a node; they are tried again once these have their forms."""
_CANCELLING = ("Elu", "layout of a term")
"""The kinds whose every form cancels digits of small numbers."""
_KIND_OF = {form: kind for kind in KINDS for form in kind.forms if form != UNCHANGED}
Place = tuple[str, str]
"""(the kind's name, the name of the value that is computed there)"""


def default_forms(provider: str) -> dict[str, str]:
    """The form that each kind takes on this provider, by the kind's name."""
    table = "cuda" if provider == "tensorrt-rtx" else provider
    return {kind.name: kind.defaults[table] for kind in KINDS}


@dataclass(frozen=True, slots=True)
class FormPlan:
    """The form of every kind of place, and of the single places that take another one."""

    forms: Mapping[str, str] = field(default_factory=lambda: default_forms("cpu"))
    chosen: Mapping[Place, str] = field(default_factory=dict)
    keeps_small: bool = False
    """Whether the file must be right for signals far below 1, by SMALL_FORMS."""
    dropped: frozenset[str] = frozenset()
    """Those of SMALL_FORMS that broke parity, and are not used."""

    def form_at(self, kind: str, value: str) -> str:
        """The form that the place takes."""
        return self.chosen.get((kind, value), self.forms[kind])

    def allows(self, rule: Rule, node: ir.Node) -> bool:
        """Whether the rule may be tried at the node: it writes no form, or the chosen one."""
        kind = _KIND_OF.get(rule.name)
        if self.keeps_small and kind is not None and kind.name in _CANCELLING:
            return False
        return kind is None or self.form_at(kind.name, node.outputs[0].name or "") == rule.name

    def alternatives(self) -> tuple[Rule, ...]:
        """The rules of ALTERNATIVES that this plan needs, and SMALL_FORMS if it does."""
        taken = {*self.forms.values(), *self.chosen.values()}
        small = [rule for rule in SMALL_FORMS if self.keeps_small and rule.name not in self.dropped]
        return (*(rule for rule in ALTERNATIVES if rule.name in taken), *small)

    def with_form(self, places: Collection[Place], form: str) -> "FormPlan":
        """The plan with this form at those places."""
        return replace(self, chosen={**self.chosen, **dict.fromkeys(places, form)})

    def without_form(self, form: str) -> "FormPlan":
        """The plan in which places that chose the form take their default again."""
        return replace(self, chosen={place: name for place, name in self.chosen.items() if name != form})
