"""Comparisons that may be looked at after every unit, computed from sums that are kept for each variant.

Pure numerics: numpy and scipy, no store, no clock. All functions work elementwise on arrays too, so that
thousands of experiments can be simulated at once by the very code that judges real ones.
"""
