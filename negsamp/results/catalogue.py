"""All tables by their names in the workflow."""

from negsamp.results.claims import claims_table
from negsamp.results.published import published_table
from negsamp.results.tables import (
    auxiliary_table,
    cost_table,
    datasets_table,
    link_prediction_table,
    parameters_table,
    pools_table,
    slots_table,
    structure_table,
)
from negsamp.results.verdicts import checks_table, first_experiments_table

__all__ = ["TABLES"]

TABLES = {
    "datasets": datasets_table,
    "structure": structure_table,
    "pools": pools_table,
    "link_prediction": link_prediction_table,
    "parameters": parameters_table,
    "slots": slots_table,
    "auxiliary": auxiliary_table,
    "cost": cost_table,
    "claims": claims_table,
    "published": published_table,
    "checks": checks_table,
    "first_experiments": first_experiments_table,
}
