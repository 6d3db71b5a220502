"""The report of a swap."""

from dataclasses import dataclass, field

from torch import nn

from adaptact.report.notebook import show_table
from adaptive_act.site import Site, Skipped


@dataclass(frozen=True, slots=True)
class Report:
    """The sites that a swap changed and skipped, and the change of the outputs (None where not compared)."""

    changed: tuple[Site, ...]
    skipped: tuple[Skipped, ...]
    parameters_added: int
    largest_change: float | None
    dry_run: bool = False

    def __str__(self) -> str:
        lines = [_format_site(site) for site in self.changed]
        lines += [str(entry) for entry in self.skipped]
        would = "would be " if self.dry_run else ""
        lines.append(f"{len(self.changed)} {would}swapped, {self.parameters_added} parameters {would}added")
        if self.dry_run:
            lines.append("nothing was changed: this was a dry run")
        elif self.largest_change is None:
            lines.append("outputs not compared: pass example= to have that done")
        else:
            lines.append(f"largest change of the outputs on the example: {self.largest_change:.2g}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """What notebooks show."""
        rows = [(site.layer, site.replaced, site.activation, site.channels or "") for site in self.changed]
        skipped = [(entry.layer, entry.what, "", entry.reason) for entry in self.skipped]
        note = str(self).splitlines()[len(rows) + len(skipped) :]
        header = ("layer", "replaced", "by", "channels, or why it was skipped")
        return show_table("Swap", header, [*rows, *skipped], "; ".join(note))


@dataclass(frozen=True, slots=True)
class Swapped:
    """The model with its new activations, and the report of what changed."""

    model: nn.Module
    report: Report = field(repr=False)


def _format_site(site: Site) -> str:
    channels = f", {site.channels} channels along axis {site.channel_axis}" if site.channels else ""
    return f"{site.layer}: {site.replaced} -> {site.activation}{channels}"
