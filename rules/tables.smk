"""Stage 5, tables and figures: from the records of all stages before.

Reads   resources/datasets/, results/{name}/pools/, results/{name}/hpo/, results/{name}/final/
Writes  results/{name}/tables/ (CSV, LaTeX, Markdown), results/{name}/figures/ (PNG, PDF)
"""


rule make_table:
    """Write a table over all data sets."""
    input:
        unpack(table_input),
    output:
        csv=report(
            f"{RESULTS}/tables/{{table}}.csv",
            caption="report/table.rst",
            category=lambda wildcards: chapter_of(wildcards.table),
            subcategory="all data sets",
            labels={"what": "{table}", "kind": "table"},
        ),
        tex=f"{RESULTS}/tables/{{table}}.tex",
        md=f"{RESULTS}/tables/{{table}}.md",
    log:
        f"{RESULTS}/logs/make_table/{{table}}.log",
    wildcard_constraints:
        table="|".join([*TABLES, *VERDICTS]),
    conda:
        "../envs/negsamp.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        table=lambda wildcards: wildcards.table,
        grid=lambda wildcards: grid_of(wildcards.table),
        timeout=lambda wildcards: config["hpo"]["timeout"] if wildcards.table not in UNTRAINED else None,
        code=CODE["make_table"],
    script:
        "../workflow_scripts/make_table.py"


rule make_link_prediction_table:
    """Write the link prediction table of a data set."""
    input:
        finals=lambda wildcards: fill(
            rules.retrain.output.record,
            studies(wildcards.dataset),
            seed=config["seeds"],
        ),
        trials=lambda wildcards: fill(rules.run_trials.output.trials, studies(wildcards.dataset), chunk=chunks()),
        ranks=lambda wildcards: fill(
            rules.retrain.output.ranks,
            studies(wildcards.dataset),
            seed=config["seeds"],
        ),
    output:
        csv=report(
            f"{RESULTS}/tables/link_prediction/{{dataset}}.csv",
            caption="report/link_prediction.rst",
            category=chapter_of("link_prediction"),
            subcategory="{dataset}",
            labels={"what": "link prediction", "kind": "table"},
        ),
        tex=f"{RESULTS}/tables/link_prediction/{{dataset}}.tex",
        md=f"{RESULTS}/tables/link_prediction/{{dataset}}.md",
    log:
        f"{RESULTS}/logs/make_link_prediction_table/{{dataset}}.log",
    conda:
        "../envs/negsamp.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        table="link_prediction",
        grid=lambda wildcards: grid_of("link_prediction", wildcards.dataset),
        options={"planned": config["hpo"]["trials"]},
        timeout=config["hpo"]["timeout"],
        code=CODE["make_table"],
    script:
        "../workflow_scripts/make_table.py"


rule plot_retrainings:
    """Plot the test MRR of a data set, or what filled the slots, against the number of negatives."""
    input:
        finals=rules.make_link_prediction_table.input.finals,
    output:
        png=report(
            f"{RESULTS}/figures/{{figure}}/{{dataset}}.png",
            caption="report/figure.rst",
            category=lambda wildcards: chapter_of(wildcards.figure),
            subcategory="{dataset}",
            labels={"what": "{figure}", "kind": "figure"},
        ),
        pdf=f"{RESULTS}/figures/{{figure}}/{{dataset}}.pdf",
    log:
        f"{RESULTS}/logs/plot_retrainings/{{figure}}/{{dataset}}.log",
    wildcard_constraints:
        figure="|".join(FIGURES),
    conda:
        "../envs/negsamp.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        figure=lambda wildcards: wildcards.figure,
        grid=lambda wildcards: grid_of(wildcards.figure, wildcards.dataset),
        code=CODE["plot_figure"],
    script:
        "../workflow_scripts/plot_figure.py"


rule plot_pool_sizes:
    """Plot the distribution of the pool sizes of a data set."""
    input:
        statistics=lambda wildcards: pool_statistics(wildcards.dataset),
    output:
        png=report(
            f"{RESULTS}/figures/pool_sizes/{{dataset}}.png",
            caption="report/pool_sizes.rst",
            category=chapter_of("pool_sizes"),
            subcategory="{dataset}",
            labels={"what": "pool sizes", "kind": "figure"},
        ),
        pdf=f"{RESULTS}/figures/pool_sizes/{{dataset}}.pdf",
    log:
        f"{RESULTS}/logs/plot_pool_sizes/{{dataset}}.log",
    conda:
        "../envs/negsamp.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        figure="pool_sizes",
        grid=lambda wildcards: grid_of("pools", wildcards.dataset),
        code=CODE["plot_figure"],
    script:
        "../workflow_scripts/plot_figure.py"


rule make_index:
    """Lay out one page of all tables, which can be sorted, and figures, which can be zoomed."""
    input:
        tables=[*on_the_page(rules.make_table.output.csv), *link_prediction_tables()],
        captions=[
            *on_the_page(rules.make_table.output.md),
            *expand(rules.make_link_prediction_table.output.md, dataset=DATASETS),
        ],
        statistics=pool_statistics(),
    output:
        f"{RESULTS}/index.html",
    log:
        f"{RESULTS}/logs/make_index.log",
    conda:
        "../envs/negsamp.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        title=config["name"],
        chapters=CHAPTERS,
        samplers=config["samplers"],
        code=CODE["make_index"],
    script:
        "../workflow_scripts/make_index.py"


rule tables:
    """Write all tables."""
    input:
        # the records too, so that one that is deleted is made again, and all that depends on it
        rules.pools.input,
        rules.searches.input,
        expand(rules.make_table.output, table=TABLES),
        expand(rules.make_link_prediction_table.output, dataset=DATASETS),


rule figures:
    """Plot all figures."""
    input:
        expand(rules.plot_retrainings.output, figure=FIGURES, dataset=DATASETS),
        expand(
            rules.plot_pool_sizes.output,
            dataset=[d for d in DATASETS if pool_statistics(d)],
        ),
