"""Operators beside the ONNX standard that ONNX Runtime has: classical machine learning, and its own fusions.

Files of scikit-learn, LightGBM and XGBoost hold the first; those that ONNX Runtime optimised, the second. No
rule knows them: they stay as they are.
"""

from collections import Counter

import onnx_ir as ir

LEARNING = "ai.onnx.ml"
FOREIGN = (LEARNING, "com.microsoft", "com.microsoft.nchwc")
MOST_NAMED = 10


def describe_foreign(graph: ir.Model) -> tuple[str, ...]:
    """The foreign operators of the graph with their counts, in words; nothing where there is none."""
    counts = Counter(f"{node.domain}::{node.op_type}" for node in graph.graph.all_nodes() if node.domain)
    if not counts:
        return ()
    named = [f"{count} {name}" for name, count in sorted(counts.items())]
    rest = f", and {len(named) - MOST_NAMED} kinds more" if len(named) > MOST_NAMED else ""
    return (f"operators outside the ONNX standard, kept as they are: {', '.join(named[:MOST_NAMED])}{rest}",)


def count_trees(graph: ir.Model) -> int:
    """The trees of the graph, whose values are added up."""
    count = 0
    for node in graph.graph.all_nodes():
        if node.domain == LEARNING and "nodes_treeids" in node.attributes:
            count += len(set(node.attributes["nodes_treeids"].as_ints()))
        elif node.domain == LEARNING and "tree_roots" in node.attributes:
            count += len(node.attributes["tree_roots"].as_ints())
    return count


def has_learning(graph: ir.Model) -> bool:
    """Whether an operator is one of classical machine learning: of trees and tables, whose results jump."""
    return any(node.domain == LEARNING for node in graph.graph.all_nodes())
