"""Make a table of records: CSV, LaTeX and Markdown."""

from negsamp.io import job_log
from negsamp.results import TABLES, write_table

with job_log(snakemake.log[0]):
    table = TABLES[snakemake.params.table](**dict(snakemake.input.items()), **snakemake.params.options)
    write_table(table, csv=snakemake.output.csv, tex=snakemake.output.tex, md=snakemake.output.md)
