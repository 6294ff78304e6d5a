"""Stage 3, pools: built once for each data set and sampler, read by every trial.

Reads   resources/datasets/{dataset}/, results/{name}/auxiliary/{dataset}/
Writes  results/{name}/pools/{dataset}/
"""


rule build_pools:
    """Collect what every query of one sampler may draw from, and count it."""
    input:
        dataset=rules.prepare_dataset.output,
        auxiliary=auxiliary_if_needed,
    output:
        pools=f"{RESULTS}/pools/{{dataset}}/{{sampler}}.safetensors",
        statistics=f"{RESULTS}/pools/{{dataset}}/{{sampler}}.statistics.json",
    log:
        f"{RESULTS}/logs/build_pools/{{dataset}}/{{sampler}}.log",
    conda:
        "../envs/negsamp.yaml"
    threads: config["compute"]["torch_threads"]
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        options=lambda wildcards: pool_options(NEEDS.get(wildcards.sampler)),
        threads=config["compute"]["torch_threads"],
        code=CODE["build_pools"],
    script:
        "../workflow_scripts/build_pools.py"


rule pools:
    """Build all pools and their statistics."""
    input:
        fill(rules.build_pools.output, pool_rows()),
