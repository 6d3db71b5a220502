"""Whether a change of a model shows in its outputs, by the criterion of parity."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from convert.model_io.array import Array
from convert.model_io.samples import SampleSet
from convert.parity.criterion import compare, measure_scales
from convert.parity.verify import Original, make_run


class Effects:
    """Judges outputs of a changed model as if they were a file's."""

    def __init__(self, original: Original, sets: Sequence[SampleSet]) -> None:
        self.outputs = original.outputs
        self._runs = {}
        for samples in sets:
            answers = original.answer(samples)
            self._runs[samples.name] = make_run(samples, answers, answers.originals[0])
        self._scales = measure_scales(list(self._runs.values()))

    def list_moved(self, samples: SampleSet, outputs: Mapping[str, Array]) -> set[str]:
        """The outputs on these samples that parity would not take for the model's."""
        run = replace(self._runs[samples.name], file=outputs)
        return {output for output in self.outputs if not compare(run, output, self._scales[output]).passed}

    def measure_allowance(self, samples: SampleSet, output: str) -> float:
        """The error that the whole output is allowed on these samples, whatever its channels are."""
        run = replace(self._runs[samples.name], typical=False)
        return compare(run, output, self._scales[output]).allowed
