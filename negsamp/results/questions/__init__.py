"""Answers to the paper's open questions: a table, a figure and a verdict of each."""

from negsamp.results.questions.answer import Answer, write_answer
from negsamp.results.questions.auxiliary_quality import auxiliary_quality_answer
from negsamp.results.questions.graph_structure import collect_evidence, graph_structure_answer
from negsamp.results.questions.random_integration import random_integration_answer

__all__ = [
    "ANSWERS",
    "Answer",
    "auxiliary_quality_answer",
    "collect_evidence",
    "graph_structure_answer",
    "random_integration_answer",
    "write_answer",
]

#: by the names of the questions in the workflow
ANSWERS = {
    "graph_structure": graph_structure_answer,
    "auxiliary_quality": auxiliary_quality_answer,
    "random_integration": random_integration_answer,
}
