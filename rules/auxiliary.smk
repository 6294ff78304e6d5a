"""Stage 2, auxiliary model: trained once a data set, on its training triples alone.

Reads   resources/datasets/{dataset}/
Writes  results/{name}/auxiliary/{dataset}/
"""


rule train_auxiliary:
    """Train the model that nearest neighbours and near misses are taken from."""
    input:
        dataset=rules.prepare_dataset.output,
    output:
        model=f"{RESULTS}/auxiliary/{{dataset}}/model.safetensors",
        record=f"{RESULTS}/auxiliary/{{dataset}}/record.json",
    log:
        f"{RESULTS}/logs/train_auxiliary/{{dataset}}.log",
    conda:
        "../envs/negsamp.yaml"
    threads: config["compute"]["torch_threads"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(8 * 60),
        gpu=GPU,
    params:
        options=config["auxiliary"],
        evaluation=config["evaluation"],
        seed=config["hpo"]["seed"],
        threads=config["compute"]["torch_threads"],
        device=config["compute"]["device"],
        code=CODE["train_auxiliary"],
    script:
        "../workflow_scripts/train_auxiliary.py"
