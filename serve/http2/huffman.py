"""The Huffman code of header texts, RFC 7541 (2015), appendix B."""

from serve.http2.errors import CompressionError

END, MOST_PADDING = 256, 7
# The bits of each byte's code, and of END's. Codes of the same length follow each other in the bytes' order.
LENGTHS = (
    *(13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28),
    *(28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6),
    *(6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8),
    *(7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7),
    *(7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23),
    *(24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22),
    *(23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25),
    *(26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24),
    *(20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27),
    *(27, 27, 27, 26, 30),
)
Step = tuple[int, bytes]
"""The place in the code after four bits, and the byte that they completed, if any."""


def decode_huffman(text: bytes) -> bytes:
    """The text; raises `CompressionError` for the code's END, or an end that is no padding."""
    decoded = bytearray()
    place = 0
    for byte in text:
        place, first = _STEPS[place][byte >> 4]
        place, second = _STEPS[place][byte & 15]
        decoded += first + second
    if place not in _PADDINGS:
        raise CompressionError("a header's text ends within a character")
    return bytes(decoded)


def _make_tree() -> list[list[int]]:
    """The children of each inner place, by the next bit: a place, or ~byte."""
    tree = [[0, 0]]
    code, length = 0, 0
    for symbol in sorted(range(END + 1), key=lambda symbol: LENGTHS[symbol]):
        code <<= LENGTHS[symbol] - length
        length = LENGTHS[symbol]
        place = 0
        for shift in range(length - 1, 0, -1):
            children, bit = tree[place], code >> shift & 1
            if children[bit] == 0:
                children[bit] = len(tree)
                tree.append([0, 0])
            place = children[bit]
        tree[place][code & 1] = ~symbol
        code += 1
    return tree


def _find_paddings(tree: list[list[int]]) -> frozenset[int]:
    """The places where a text may end: after at most seven ones, the beginning of END's code."""
    places = [0]
    for _ in range(MOST_PADDING):
        places.append(tree[places[-1]][1])
    return frozenset(places)


def _step(tree: list[list[int]], place: int, bits: int) -> Step:
    decoded = b""
    for shift in range(3, -1, -1):
        place = tree[place][bits >> shift & 1]
        if place == ~END:
            return _ERROR, b""
        if place < 0:
            decoded, place = bytes((~place,)), 0
    return place, decoded


_TREE = _make_tree()
_PADDINGS = _find_paddings(_TREE)
# A place of no return, behind END.
_ERROR = len(_TREE)
_STEPS = [[_step(_TREE, place, bits) for bits in range(16)] for place in range(len(_TREE))]
_STEPS.append([(_ERROR, b"")] * 16)
