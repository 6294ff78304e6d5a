"""The loops that torch has no fast operation for, compiled by Numba; they work on the CPU.

Each is compiled at its first use, for a second or so, and kept on disk from then on.
"""

from negsamp.kernels.heap import best
from negsamp.kernels.lists import DRAWABLE, NEVER, ROOM, exclude, own_ranks
from negsamp.kernels.search import complete, find, hashed
from negsamp.kernels.slots import MASKED, balanced_sides, draw, empty_slots, replace, stand_in, tally

__all__ = [
    "DRAWABLE",
    "MASKED",
    "NEVER",
    "ROOM",
    "balanced_sides",
    "best",
    "complete",
    "draw",
    "empty_slots",
    "exclude",
    "find",
    "hashed",
    "own_ranks",
    "replace",
    "stand_in",
    "tally",
]
