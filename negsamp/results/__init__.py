"""From the files of the chain to what is published: read them, lay out tables, draw figures."""

from negsamp.results.collect import (
    average_seeds,
    read_chosen,
    read_finals,
    read_histograms,
    read_reports,
    read_statistics,
    read_timings,
)
from negsamp.results.figures import negatives_figure, pool_sizes_figure, write_figure
from negsamp.results.tables import (
    Table,
    cost_table,
    datasets_table,
    link_prediction_table,
    parameters_table,
    pools_table,
    slots_table,
    write_table,
)

#: by the name in the workflow
TABLES = {
    "datasets": datasets_table,
    "pools": pools_table,
    "link_prediction": link_prediction_table,
    "parameters": parameters_table,
    "slots": slots_table,
    "cost": cost_table,
}
FIGURES = {"negatives": negatives_figure, "pool_sizes": pool_sizes_figure}

__all__ = [
    "FIGURES",
    "TABLES",
    "Table",
    "average_seeds",
    "cost_table",
    "datasets_table",
    "link_prediction_table",
    "negatives_figure",
    "parameters_table",
    "pool_sizes_figure",
    "pools_table",
    "read_chosen",
    "read_finals",
    "read_histograms",
    "read_reports",
    "read_statistics",
    "read_timings",
    "slots_table",
    "write_figure",
    "write_table",
]
