"""Where the channels of an input lie: values spread over them, means taken in them.

What asks for the shape of an input is a single step in a graph of torch.fx, where an input has none. Call
these functions through the module, `layout.pool(x, place)`: torch.fx finds them by their name in it.
"""

from torch import Tensor, fx

Place = tuple[int, int, str]
"""The axis on which the channels lie, their number, and the name of the activation for messages."""


@fx.wrap
def spread(value: Tensor, x: Tensor, place: Place) -> Tensor:
    """`value` [C] in x's dtype, as [C, 1, ...] to meet x; raises ValueError where x has other channels."""
    axis, channels, name = place
    axis = axis + x.dim() if axis < 0 else axis
    if not (0 <= axis < x.dim() and x.shape[axis] == channels):
        raise ValueError(
            f"`{name}` learned {channels} channels along axis {place[0]}, got an input of shape "
            f"{list(x.shape)}"
        )
    return value.to(x.dtype).reshape([-1] + [1] * (x.dim() - axis - 1))


@fx.wrap
def find_axis(x: Tensor, place: Place) -> int:
    """The channel axis of x, counted from the front.

    Raises ValueError where x has other channels than the activation, or no batch before them.
    """
    axis, channels, name = place
    axis = axis + x.dim() if axis < 0 else axis
    if not (0 < axis < x.dim() and x.shape[axis] == channels):
        raise ValueError(
            f"`{name}` has {channels} channels along axis {place[0]} of a batch, got an input of shape "
            f"{list(x.shape)}"
        )
    return axis


@fx.wrap
def pool(x: Tensor, place: Place) -> Tensor:
    """The mean of each channel of each sample, [N, C]; x is [N, C], [N, C, ...] or [N, ..., C]."""
    rest = list(range(1, x.dim()))
    rest.remove(find_axis(x, place))
    return x.mean(rest) if rest else x


@fx.wrap
def align(values: Tensor, x: Tensor, place: Place) -> Tensor:
    """Values [N, n] in x's dtype with n along x's channel axis; with n = C they broadcast to x."""
    axis, values = find_axis(x, place), values.to(x.dtype)
    if x.dim() == 2:
        return values
    return values.reshape([-1] + [1] * (axis - 1) + [values.shape[1]] + [1] * (x.dim() - axis - 1))


@fx.wrap
def move_second(x: Tensor, place: Place) -> Tensor:
    """x with its channels moved to axis 1."""
    axis = find_axis(x, place)
    return x if axis == 1 else x.movedim(axis, 1)


@fx.wrap
def move_back(x: Tensor, like: Tensor, place: Place) -> Tensor:
    """x with its channels moved from axis 1 to where they lie in `like`."""
    axis = find_axis(like, place)
    return x if axis == 1 else x.movedim(1, axis)


@fx.wrap
def require_images(x: Tensor, place: Place) -> Tensor:
    """x, which is [batch, C, height, width]; raises ValueError for anything else."""
    _, channels, name = place
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(
            f"`{name}` expects images [batch, {channels}, height, width], got an input of shape "
            f"{list(x.shape)}"
        )
    return x
