"""Rewriting: rules applied until none fires, and the form that each place of the graph takes."""
