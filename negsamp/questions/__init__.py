"""The paper's open questions, as experiments: graph structure, the auxiliary model's quality, random integration."""

from negsamp.questions.auxiliary_quality import vary_auxiliary
from negsamp.questions.graph_structure import sweep_structure
from negsamp.questions.random_integration import semantic_validity, vary_fallback
from negsamp.questions.runs import Runs, find_pools

__all__ = ["Runs", "find_pools", "semantic_validity", "sweep_structure", "vary_auxiliary", "vary_fallback"]
