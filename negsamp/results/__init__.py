"""From the files of the chain to what is published: read them, lay out tables, draw figures."""

from negsamp.results.catalogue import TABLES
from negsamp.results.claims import claims_of, claims_table
from negsamp.results.collect import (
    average_seeds,
    read_auxiliaries,
    read_chosen,
    read_finals,
    read_histograms,
    read_reciprocal_ranks,
    read_reports,
    read_statistics,
    read_structures,
    read_tables,
    read_timings,
)
from negsamp.results.comparison import compare_samplers
from negsamp.results.figures import (
    FIGURES,
    fallback_figure,
    negatives_figure,
    pool_sizes_figure,
    write_figure,
)
from negsamp.results.grid import Grid
from negsamp.results.published import published_table
from negsamp.results.tables import (
    Table,
    auxiliary_table,
    cost_table,
    datasets_table,
    link_prediction_table,
    parameters_table,
    pools_table,
    slots_table,
    structure_table,
    write_table,
)
from negsamp.results.verdicts import checks_table, first_experiments_table

__all__ = [
    "FIGURES",
    "TABLES",
    "Grid",
    "Table",
    "auxiliary_table",
    "average_seeds",
    "checks_table",
    "claims_of",
    "claims_table",
    "compare_samplers",
    "cost_table",
    "datasets_table",
    "fallback_figure",
    "first_experiments_table",
    "link_prediction_table",
    "negatives_figure",
    "parameters_table",
    "pool_sizes_figure",
    "pools_table",
    "published_table",
    "read_auxiliaries",
    "read_chosen",
    "read_finals",
    "read_histograms",
    "read_reciprocal_ranks",
    "read_reports",
    "read_statistics",
    "read_structures",
    "read_tables",
    "read_timings",
    "slots_table",
    "structure_table",
    "write_figure",
    "write_table",
]
