"""Benchmarks: what is drawn a second, what an epoch costs, what pools take to build, and how it grows with a graph.

Contenders are measured side by side in one run, in turns, and compared turn by turn: ratios hold on a machine that is
busy with other things too, seconds do not. :mod:`negsamp.bench.report` writes what the other modules measure.
"""

# nothing is imported here: a process that is looked at should hold no more than what it measures
