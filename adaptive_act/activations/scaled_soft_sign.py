"""ScaledSoftSign."""

from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned


class ScaledSoftSign(Activation):
    """αx / (β + |x|): Softsign with learned height and reach.

    α is the height that it tends to, without bounds, and β > 0 how far from zero it is half of that. They
    start at 1, where it equals Softsign.

    Source: after Pishchik 2023, https://www.preprints.org/manuscript/202301.0463
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(1.0, positive=True)}
    fixed_points = {nn.Softsign: {"alpha": 1.0, "beta": 1.0}}
    onnx_ops = ("Abs", "Add", "Div", "Mul")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return alpha * (x / (beta + x.abs()))
