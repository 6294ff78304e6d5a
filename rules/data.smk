"""Stage 1, data: fetched once, checked, and kept in the form that every later stage reads.

Reads   the mirror folder or an archive's address, or a folder of your own
Writes  resources/archives/{dataset}.zip, resources/datasets/{dataset}/
"""


rule obtain_archive:
    """Fetch a registered archive, from the mirror if it is there, and check its hash."""
    output:
        archive="resources/archives/{dataset}.zip",
    log:
        "logs/obtain_archive/{dataset}.log",
    conda:
        "../envs/negsamp.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(60),
    params:
        hashes=lambda wildcards: REGISTRY[wildcards.dataset]["hashes"],
    script:
        "../workflow_scripts/obtain_archive.py"


rule prepare_dataset:
    """Read a data set, report what is in it, and store triples, schema and names."""
    input:
        source=dataset_source,
    output:
        tensors="resources/datasets/{dataset}/dataset.safetensors",
        labels="resources/datasets/{dataset}/labels.json",
        report="resources/datasets/{dataset}/report.json",
    log:
        "logs/prepare_dataset/{dataset}.log",
    conda:
        "../envs/negsamp.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        options=dataset_options,
        code=CODE["prepare_dataset"],
    script:
        "../workflow_scripts/prepare_dataset.py"


rule describe_dataset:
    """Describe the structure of a data set in numbers."""
    input:
        dataset=rules.prepare_dataset.output,
    output:
        structure="resources/datasets/{dataset}/structure.json",
    log:
        "logs/describe_dataset/{dataset}.log",
    conda:
        "../envs/negsamp.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=CODE["describe_dataset"],
    script:
        "../workflow_scripts/describe_dataset.py"
