"""Make a table of records: CSV, LaTeX and Markdown."""

from negsamp.io import job_log
from negsamp.results import TABLES, Grid, write_table

with job_log(snakemake):
    params = snakemake.params
    # a table that is made of others has the rows that these have
    grid = {} if params.grid is None else {"grid": Grid(**params.grid)}
    table = TABLES[params.table](**dict(snakemake.input.items()), **grid, **params.get("options", {}))
    if params.timeout is not None:
        table = table.under_budget(params.timeout)
    write_table(table, csv=snakemake.output.csv, tex=snakemake.output.tex, md=snakemake.output.md)
