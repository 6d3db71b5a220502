"""Which form each place takes: a provider's table, and what was measured to be better."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from convert.graph.rule import Rule
from convert.rewriting.forms import ALTERNATIVES

KEPT = "kept"
"""The form in which the graph has it already."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Places of one kind, and their forms, equal in value, of which the machine says which is the fastest.

    A form is KEPT, or the name of the rule that writes it.
    """

    name: str
    forms: tuple[str, ...]
    table: Mapping[str, str]
    """The form that each provider takes without a measurement."""
    operators: tuple[str, ...] = ()
    """What stands there once all other rules rest; without any, it is where the rules of the forms fire."""


KINDS: tuple[Kind, ...] = (
    Kind(
        "Elu",
        (KEPT, "elu_to_exp", "elu_as_max", "elu_as_sum"),
        {"cpu": "elu_to_exp", "cuda": KEPT},
        ("Elu",),
    ),
    Kind(
        "PRelu", (KEPT, "prelu_to_relu", "prelu_as_min"), {"cpu": "prelu_to_relu", "cuda": KEPT}, ("PRelu",)
    ),
    Kind(
        "LeakyRelu",
        (KEPT, "leakyrelu_to_relu", "leakyrelu_as_relu", "leakyrelu_as_max"),
        {"cpu": "leakyrelu_to_relu", "cuda": KEPT},
        ("LeakyRelu",),
    ),
    Kind("Mish", (KEPT, "mish_to_sigmoid"), {"cpu": "mish_to_sigmoid", "cuda": KEPT}),
    Kind("Softplus", (KEPT, "softplus_to_log"), {"cpu": "softplus_to_log", "cuda": KEPT}, ("Softplus",)),
    Kind("Gelu", (KEPT, "gelu_as_erf"), {"cpu": KEPT, "cuda": KEPT}, ("Gelu",)),
    Kind(
        "HardSwish",
        (KEPT, "hardswish_as_gate", "hardswish_as_clip"),
        {"cpu": KEPT, "cuda": KEPT},
        ("HardSwish",),
    ),
    Kind("Clip", (KEPT, "clip_as_max_min"), {"cpu": KEPT, "cuda": KEPT}, ("Clip",)),
    Kind("power", (KEPT, "power_to_product"), {"cpu": "power_to_product", "cuda": KEPT}, ("Pow",)),
    Kind(
        "inner scale",
        (KEPT, "inner_scale_into_previous"),
        {"cpu": "inner_scale_into_previous", "cuda": "inner_scale_into_previous"},
    ),
    Kind(
        "scale of a blend",
        (KEPT, "scale_out_of_blend"),
        {"cpu": "scale_out_of_blend", "cuda": "scale_out_of_blend"},
    ),
    Kind("layout of a sum", (KEPT, "affine_to_batchnorm"), {"cpu": "affine_to_batchnorm", "cuda": KEPT}),
    Kind("layout of a scale", (KEPT, "scale_to_channels"), {"cpu": "scale_to_channels", "cuda": KEPT}),
)
"""Every kind of place. On the CPU the tables are what docs/converting.md measured; on CUDA, where each
operator is a kernel that reads and writes all numbers once, they take the fewest operators."""
LAYOUT = ("affine_to_batchnorm", "scale_to_channels")
"""The rules that look at what stands around a node, and so again once that has taken its form."""
_KIND_OF = {form: kind for kind in KINDS for form in kind.forms if form != KEPT}
Place = tuple[str, str]
"""(the kind's name, the name of the value that is computed there)"""


def table(provider: str) -> dict[str, str]:
    """The form that each kind takes on this provider, by the kind's name."""
    return {kind.name: kind.table[provider] for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Plan:
    """The form of every kind, and those of single places that take another one."""

    forms: Mapping[str, str] = field(default_factory=lambda: table("cpu"))
    chosen: Mapping[Place, str] = field(default_factory=dict)

    def form(self, kind: str, value: str) -> str:
        """The form that the place takes."""
        return self.chosen.get((kind, value), self.forms[kind])

    def allows(self, rule: Rule, node: ir.Node) -> bool:
        """Whether the rule may be tried there: it writes no measured form, or the one that was chosen."""
        kind = _KIND_OF.get(rule.name)
        return kind is None or self.form(kind.name, node.outputs[0].name or "") == rule.name

    def alternatives(self) -> tuple[Rule, ...]:
        """The rules beside RULES that this plan takes somewhere."""
        taken = {*self.forms.values(), *self.chosen.values()}
        return tuple(rule for rule in ALTERNATIVES if rule.name in taken)

    def taking(self, places: Collection[Place], form: str) -> "Plan":
        """The plan with this form at those places."""
        return replace(self, chosen={**self.chosen, **dict.fromkeys(places, form)})

    def without(self, form: str) -> "Plan":
        """The plan in which no place that chose the form takes it any more."""
        return replace(self, chosen={place: name for place, name in self.chosen.items() if name != form})
