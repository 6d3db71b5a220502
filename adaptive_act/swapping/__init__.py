"""Plain activations found in a model, replaced by adaptive ones, and put back.

`find` finds where they are applied, `observe` where their channels lie, and `install` puts others there.
`swap` (in `replace`) and `unswap` (in `undo`) use all of them.
"""
