"""Plain activations found in a model, replaced by adaptive ones, and put back.

`search` finds where they are applied, `observe` where their channels lie, and `install` puts others there;
`swap` and `unswap` are the two ways through all of it.
"""
