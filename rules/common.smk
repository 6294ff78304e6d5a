"""What the rules ask: names, paths, what is applicable, and which code a script depends on.

Read again by every cluster job, so nothing heavy is imported: not even negsamp, which brings torch.
"""

import ast
import functools
import hashlib
import json
import os
import random
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jsonschema
import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# of this workflow, also where it is a module of another
ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent

try:
    validate(config, "schemas/config.schema.yaml")
except WorkflowError as error:
    # Snakemake tells the schema and the whole config, and not the place
    _found = error.__context__
    raise WorkflowError(f"{'.'.join(['config', *map(str, _found.absolute_path)])}: {_found.message}") from None

# scripts run the code beside this workflow, in whatever environment they run
os.environ.update(PYTHONPATH=os.pathsep.join([str(ROOT), os.getenv("PYTHONPATH", "")]).rstrip(os.pathsep))
if config["mirror"]:
    # not a parameter of a job: where an archive was fetched from must not make it stale
    os.environ.update(NEGSAMP_MIRROR=config["mirror"])
# likewise who is told of a training
os.environ.update(NEGSAMP_TRACKING=json.dumps(config["tracking"]))
# PyKEEN makes folders of its own as soon as it is imported: here, not in anyone's home
os.environ.update(PYSTOW_HOME=str(Path("resources/pykeen").absolute()))
os.environ.pop("PYKEEN_HOME", None)

RESULTS = f"results/{config['name']}"
#: what each training asks the scheduler for
GPU = config["compute"]["gpu"]
DATASETS = list(dict.fromkeys(name.lower() for name in config["datasets"]))
REGISTRY = tomllib.loads((ROOT / "negsamp/datasets/registry.toml").read_text(encoding="utf-8"))
FOLDERS = {name.lower(): Path(folder) for name, folder in config["folders"].items()}

#: PyKEEN's own samplers, and its training loops that need none
PYKEENS = {"basic", "bernoulli"}
LOOPS = {"lcwa", "symmetriclcwa"}
#: what a sampler needs beside the triples; tests compare with each class's own word
NEEDS = {
    "typed": "domains_and_ranges",
    "typedbyclass": "classes",
    "nearestneighbor": "auxiliary",
    "adversarial": "auxiliary",
    "adaptiveadversarial": "training",
    "given": "negatives",
}
#: the samplers that have no pools before a training
WITHOUT_POOLS = PYKEENS | LOOPS | {name for name, need in NEEDS.items() if need == "training"}

#: the questions that the paper leaves open
ASKED = config["open_questions"]
QUESTIONS = ("graph_structure", "auxiliary_quality", "random_integration")

for _name in FOLDERS:
    if _name in REGISTRY:
        raise WorkflowError(f"config, folders: {_name!r} is a registered data set; give the folder another name")
    if _name in map(str.lower, config["datasets"]) and not FOLDERS[_name].is_dir():
        raise WorkflowError(f"config, folders.{_name}: {FOLDERS[_name].absolute()}: no such folder; correct the path")
for _name, _range in config["hpo"]["space"].items():
    if isinstance(_range, dict) and not (0 if _range.get("log") else float("-inf")) < _range["low"] < _range["high"]:
        raise WorkflowError(f"config, hpo.space.{_name}: low must be below high, and above 0 where log is true")
if config["hpo"]["pruner"] and (config["hpo"]["sampler"] != "tpe" or config["early_stopping"]["patience"] is None):
    raise WorkflowError("config, hpo.pruner: it needs hpo.sampler tpe and an early_stopping.patience; set both")
for _name in config["reference"]["models"] or []:
    if _name not in config["models"]:
        raise WorkflowError(
            f"config, reference.models: {_name!r} is none of the models; add it to models, or leave it out"
        )
if GPU and config["compute"]["device"] not in (None, "cuda"):
    raise WorkflowError("config, compute.device: with compute.gpu each job is given a GPU; leave the device null")
for _name in DATASETS:
    if _name not in REGISTRY and _name not in FOLDERS:
        _known = ", ".join([*REGISTRY, *FOLDERS])
        raise WorkflowError(f"config, datasets: unknown data set {_name!r}; known are {_known}; add it to folders")


def growing(amount):
    """Ask for so much at first, and for as much more on each retry: of memory in MB, of time in minutes."""
    return lambda wildcards, attempt: amount * attempt


def is_applicable(dataset, sampler):
    """Tell whether a data set has what a sampler needs, without reading it."""
    need = NEEDS.get(sampler)
    if need == "negatives":
        return dataset in FOLDERS and (FOLDERS[dataset] / "negatives.tsv").is_file()
    if need not in ("classes", "domains_and_ranges"):
        return True
    has = DECLARED.get(dataset) or REGISTRY[dataset]
    is_inferred = config["sampling"]["infer_schema"] is not None and need == "domains_and_ranges"
    return has[need] or (is_inferred and has["classes"])


def declared(folder):
    """Tell what the metadata of a folder declare, as the registry does for its archives."""
    read = {
        "classes": ("entity_classes", any),
        "domains_and_ranges": (
            "relation_domain_range",
            lambda entries: any(side and side != "None" for entry in entries for side in entry.values()),
        ),
    }
    found = {}
    for need, (file, holds_any) in read.items():
        try:
            content = json.loads((folder / f"metadata/{file}.json").read_text(encoding="utf-8"))
            found[need] = holds_any(content.values())
        except (OSError, ValueError, AttributeError, RecursionError):
            # absent, or reading the data set will say in one line what is wrong with it
            found[need] = False
    return found


DECLARED = {name: declared(folder) for name, folder in FOLDERS.items() if name in DATASETS}


def applicable_samplers(dataset):
    return [sampler for sampler in config["samplers"] if is_applicable(dataset, sampler)]


def not_applicable():
    """List what the tables show as not applicable."""
    return [[d, s] for d in DATASETS for s in config["samplers"] if not is_applicable(d, s)]


def studies(dataset=None):
    """List the studies of a data set, or of all, as keyword arguments of a path."""
    return [
        {"dataset": d, "model": model, "sampler": sampler, "negatives": negatives}
        for d in ([dataset] if dataset else DATASETS)
        for sampler, numbers in [
            *((sampler, config["negatives"]) for sampler in applicable_samplers(d)),
            *((loop, [0]) for loop in reference_loop()),
        ]
        for negatives in numbers
        for model in config["models"]
        if sampler not in LOOPS or model in reference_models()
    ]


def reference_loop():
    """Name the training loop of the row without sampled negatives, if there is one."""
    loop = config["reference"]["training_loop"]
    return [loop] if loop else []


def reference_row():
    """Tell the tables of that row."""
    told = {name: config["reference"][name] for name in ("loss", "batch_size")}
    return next(({"sampler": loop, "models": reference_models(), **told} for loop in reference_loop()), None)


def reference_models():
    return config["reference"]["models"] or config["models"]


def fill(pattern, rows, **lists):
    """Fill a path pattern for each row, and within it for each combination of the lists."""
    return [path for row in rows for path in expand(pattern, **row, **lists)]


def dataset_source(wildcards):
    """Name the files that a data set is read from; none for one that is brought along or made."""
    dataset = wildcards.dataset
    if dataset in FOLDERS:
        folder = FOLDERS[dataset]
        splits = [folder / name for name in ("train.txt", "valid.txt", "test.txt")]
        optional = [*folder.glob("mapping/*.json"), *folder.glob("metadata/*.json"), *folder.glob("negatives.tsv")]
        return [*splits, *sorted(optional)]
    return f"resources/archives/{dataset}.zip" if "archive" in REGISTRY[dataset] else []


def dataset_options(wildcards):
    """Tell how a data set is read."""
    dataset = wildcards.dataset
    if dataset in FOLDERS:
        return {"folder": str(FOLDERS[dataset])}
    synthetic = {"synthetic": config["synthetic"]} if dataset == "synthetic" else {}
    return {"entry": REGISTRY[dataset], **synthetic}


def auxiliary_if_needed(wildcards):
    return rules.train_auxiliary.output.model if NEEDS.get(wildcards.sampler) == "auxiliary" else []


def pools_if_any(wildcards):
    return [] if wildcards.sampler in WITHOUT_POOLS else rules.build_pools.output.pools


#: the sampling options that decide which pools are found, by what the sampler needs
POOL_OPTIONS = {
    "auxiliary": ["num_neighbors", "grow", "metric", "search"],
    "classes": ["classes"],
    "domains_and_ranges": ["infer_schema"],
}


def pool_options(*needs):
    """Pick the sampling options that decide which pools are found, of samplers with such needs."""
    names = ["filtered", *(name for need in needs for name in POOL_OPTIONS.get(need, []))]
    return {name: config["sampling"][name] for name in names}


def training_options(wildcards, sampler=None, dataset=None):
    """Collect what all trainings have in common, of what the wildcards name unless another is given."""
    sampler = sampler or wildcards.sampler
    # what else there is in sampling decides which pools are found beforehand
    drawing = ["filtered", "fallback", "corruption"]
    if is_applicable(dataset or wildcards.dataset, "typed"):
        drawing += ["infer_schema"]
    if NEEDS.get(sampler) == "training":
        drawing += ["num_neighbors", "grow", "metric"]
    stopping = config["early_stopping"]
    is_reference = sampler in LOOPS
    own = ("loss", "loss_kwargs", "batch_size") if is_reference else ()
    is_ours = sampler not in PYKEENS | LOOPS
    return {
        **config["training"],
        **{name: config["reference"][name] for name in own},
        "early_stopping": None if stopping["patience"] is None else stopping,
        "max_evaluation_triples": config["evaluation"]["max_triples"],
        "device": config["compute"]["device"],
        "sampling": {name: config["sampling"][name] for name in drawing} if is_ours else {},
        "refresh": config["refresh"] if NEEDS.get(sampler) == "training" else {},
    }


def trials_per_job():
    """Count the trials of a job: all, where one depends on those before it."""
    hpo = config["hpo"]
    is_sequential = hpo["sampler"] == "tpe" or hpo["timeout"] is not None
    return hpo["trials"] if is_sequential else hpo["trials_per_job"]


def chunks():
    """Number the chunks of a study's trials."""
    return range(-(-config["hpo"]["trials"] // trials_per_job()))


def trials_of_chunk(wildcards):
    size = trials_per_job()
    start = int(wildcards.chunk) * size
    return list(range(start, min(start + size, config["hpo"]["trials"])))


def pool_rows(*datasets):
    """List the data sets and samplers that have pools, of all data sets unless some are given."""
    return [
        {"dataset": dataset, "sampler": sampler}
        for dataset in datasets or DATASETS
        for sampler in applicable_samplers(dataset)
        if sampler not in WITHOUT_POOLS
    ]


def auxiliary_files(kind, dataset):
    """Name the auxiliary model of a data set, or the record of it; nothing where none is asked for."""
    is_needed = any(NEEDS.get(sampler) == "auxiliary" for sampler in applicable_samplers(dataset))
    return expand(rules.train_auxiliary.output[kind], dataset=[dataset] if is_needed else [])


def pool_statistics(*datasets):
    return fill(rules.build_pools.output.statistics, pool_rows(*datasets))


#: the tables over all data sets; link prediction has one a data set
TABLES = ("datasets", "structure", "pools", "auxiliary", "parameters", "slots", "cost", "claims", "published")
#: those that say the same whichever trials were run
UNTRAINED = ("datasets", "structure", "pools", "auxiliary", "checks")
#: those that are made where they are asked for, by their targets
VERDICTS = ("checks", "first_experiments")
#: the figures of one data set that are made of retrainings
FIGURES = ("negatives", "fallback")
#: what tables and figures answer: the chapters of the report and of the page
CHAPTERS = {
    "Which negatives train the best models?": (
        "link_prediction",
        "negatives",
        "claims",
        "published",
        "first_experiments",
    ),
    "What do samplers draw from?": ("pools", "pool_sizes", "slots", "fallback", "checks"),
    "What does it cost?": ("cost",),
    "What was run, and on what?": ("datasets", "structure", "auxiliary", "parameters"),
}


def table_input(wildcards):
    """Name the records that a table is made of, by the parameter that the package's function calls them."""
    match wildcards.table:
        case "datasets":
            return {"reports": expand(rules.prepare_dataset.output.report, dataset=DATASETS)}
        case "structure":
            return {"structures": expand(rules.describe_dataset.output.structure, dataset=DATASETS)}
        case "pools":
            return {"statistics": pool_statistics()}
        case "parameters":
            return {"trials": fill(rules.run_trials.output.trials, studies(), chunk=chunks())}
        case "slots":
            return {"finals": fill(rules.retrain.output.record, studies(), seed=config["seeds"])}
        case "cost":
            trials = fill(rules.run_trials.output.timing, studies(), chunk=chunks())
            return {
                "timings": [
                    *trials,
                    *fill(rules.retrain.output.timing, studies(), seed=config["seeds"]),
                ]
            }
        case "auxiliary":
            return {"auxiliaries": [file for dataset in DATASETS for file in auxiliary_files("record", dataset)]}
        case "claims":
            return {**tables_of("pools", "auxiliary"), "link_prediction": link_prediction_tables()}
        case "published":
            return {**tables_of("pools"), "link_prediction": link_prediction_tables()}
        case "checks":
            return {"checks": expand(f"{RESULTS}/checks/{{dataset}}.json", dataset=DATASETS)}
        case "first_experiments":
            asked = ("basic", "random", "corrupt", "typed", "adversarial")
            rows = [s for s in studies() if s["sampler"] in asked and s["negatives"] == min(config["negatives"])]
            of_pools = [row for row in pool_rows() if row["sampler"] in ("typed", "random")]
            return {
                "statistics": fill(rules.build_pools.output.statistics, of_pools),
                "ranks": fill(rules.retrain.output.ranks, rows, seed=config["seeds"]),
                "auxiliaries": [file for dataset in DATASETS for file in auxiliary_files("record", dataset)],
            }


def tables_of(*names):
    """Name tables that another one is made of, by the parameter that the package's function calls them."""
    return {name: [f"{RESULTS}/tables/{name}.csv"] for name in names}


def link_prediction_tables():
    return expand(f"{RESULTS}/tables/link_prediction/{{dataset}}.csv", dataset=DATASETS)


def grid_of(table, *datasets):
    """Tell what a table or figure has of the grid, of some data sets or all; none for one that is made of others."""
    if table in ("claims", "published", "checks"):
        return None
    rows = {"datasets": datasets or DATASETS}
    if table in ("datasets", "structure", "auxiliary"):
        return rows
    if table == "pools":
        samplers = [sampler for sampler in config["samplers"] if sampler not in WITHOUT_POOLS]
        return {**rows, "samplers": samplers, "not_applicable": not_applicable()}
    return {
        **rows,
        **{key: config[key] for key in ("models", "samplers", "negatives")},
        **({} if table == "parameters" else {"seeds": config["seeds"]}),
        "not_applicable": not_applicable(),
        **({} if table in (*FIGURES, "first_experiments") else {"reference": reference_row()}),
    }


def chapter_of(name):
    """Name the chapter of a table or figure, with its number, by which the report sorts."""
    return next(f"{number}. {title}" for number, (title, names) in enumerate(CHAPTERS.items(), 1) if name in names)


def on_the_page(pattern):
    """Name the tables that the page shows: all but what it cost, so that the page is the same bytes in every run."""
    return expand(pattern, table=[table for table in TABLES if table != "cost"])


def sweep_points():
    """Find each property and value of the sweeps: the path of its records, and the options of its graph.

    Where a value changes nothing, it is the point of all sweeps that start from the same graph.
    """
    base = {name: value for name, value in config["synthetic"].items() if name != "seed"}
    points = {}
    for sweep in ASKED["graph_structure"]["sweeps"]:
        for value in sweep["values"]:
            graph = {**base, **sweep.get("with", {}), sweep["property"]: value}
            path = "base" if graph == base else f"{sweep['property']}/{value}"
            points[sweep["property"], value] = (path, graph)
    return points


def mixed_points():
    """Find the graphs whose options are drawn all at once: the path of each one's records, and its options."""
    base = {name: value for name, value in config["synthetic"].items() if name != "seed"}
    mixed = ASKED["graph_structure"]["mixed"]
    return {
        f"mixed/{number}": {
            **base,
            **{name: random.Random(f"{name} {number}").choice(values) for name, values in mixed["options"].items()},
        }
        for number in range(mixed["graphs"])
    }


def sweep_graph(wildcards):
    points = [*sweep_points().values(), *mixed_points().items()]
    return next(graph for path, graph in points if path == wildcards.point)


def refuse_unknown_results():
    """Refuse files that nothing tells the making of: they may be of another config or version, and would be mixed in.

    Snakemake keeps notes; a cluster job that outlives it, and results that were copied, have their logs alone.
    """
    made = [job for job in workflow.dag.jobs if job.output and not workflow.dag.needrun(job)]
    without_notes = [job for job in made if not workflow.persistence.has_metadata(job)]
    unknown = sorted(job.output[0] for job in without_notes if not log_tells(job))
    if unknown:
        raise WorkflowError(
            f"{unknown[0]} (of {len(unknown)} such files): nothing tells how it was made, neither notes in "
            ".snakemake/metadata nor its log; delete it to have it made again, or take it for one of this config and "
            "version by --no-hooks"
        )


def tell_where_results_are():
    """Say in a line where to look, once there is something to look at, and link the pages of all experiments."""
    if Path(f"{RESULTS}/index.html").exists():
        names = sorted(page.parent.name for page in Path("results").glob("*/index.html"))
        links = "".join(f'<li><a href="{name}/index.html">{name}</a></li>\n' for name in names)
        page = f'<!DOCTYPE html>\n<meta charset="utf-8">\n<title>Experiments</title>\n<ul>\n{links}</ul>\n'
        # another experiment may end at the same moment
        written = Path(f"results/.{os.getpid()}-index.html")
        written.write_text(page, encoding="utf-8")
        written.replace("results/index.html")
        line = f"Tables: {RESULTS}/tables. Figures: {RESULTS}/figures. Both on one page: {RESULTS}/index.html"
        print(line, file=sys.stderr)


def log_tells(job):
    """Tell whether a job's log says that its files were made from what the job has now, see negsamp.io.job_log."""
    making = json.dumps([job.rule.name, list(job.input), dict(job.params.items())], sort_keys=True)
    try:
        with open(job.log[0], encoding="utf-8") as log:
            first = next(log, "")
    except (IndexError, OSError, ValueError):
        return False
    return first.endswith(f"making {hashlib.sha256(making.encode()).hexdigest()[:16]}\n")


def check_questions():
    """Refuse what the schema cannot: points or kinds that are named twice, and graphs with options that are none."""
    for place, names in (
        ("graph_structure.sweeps: the property", [sweep["property"] for sweep in ASKED["graph_structure"]["sweeps"]]),
        (
            "auxiliary_quality.auxiliaries: the model",
            [own["model"] for own in ASKED["auxiliary_quality"]["auxiliaries"]],
        ),
    ):
        for name in names:
            if names.count(name) > 1:
                raise WorkflowError(f"config, open_questions.{place} {name!r} is given twice; give it once")
    schema = yaml.safe_load((ROOT / "rules/schemas/config.schema.yaml").read_text(encoding="utf-8"))
    options = {key: value for key, value in schema["properties"]["synthetic"]["properties"].items() if key != "seed"}
    graph_schema = {"$defs": schema["$defs"], "properties": options, "additionalProperties": False}
    validator = jsonschema.Draft202012Validator(graph_schema)
    for path, graph in [*sweep_points().values(), *mixed_points().items()]:
        for error in validator.iter_errors(graph):
            place = ".".join(map(str, error.path))
            raise WorkflowError(f"config, open_questions.graph_structure, {path}: {place} {error.message}")


def auxiliary_options(kind=None):
    """Collect the options of the auxiliary model, or of one of the kinds that are compared."""
    options = {
        **config["auxiliary"],
        "max_evaluation_triples": config["evaluation"]["max_triples"],
        "device": config["compute"]["device"],
    }
    if kind is None:
        return options
    (own,) = [own for own in ASKED["auxiliary_quality"]["auxiliaries"] if own["model"] == kind]
    # what suits the auxiliary model, such as als, need not suit another kind
    return {**options, "training_loop": "lcwa", "loss": "crossentropy", **own}


def question_runs(question, samplers, dataset):
    """Tell which trainings a job of a question runs, of the samplers that the data set serves."""
    samplers = [sampler for sampler in samplers if is_applicable(dataset, sampler)]
    return {
        "settings": {model: {**ASKED["setting"], **ASKED["settings"].get(model, {})} for model in config["models"]},
        "negatives": ASKED[question]["negatives"],
        "seeds": config["seeds"],
        "options": {sampler: training_options(None, sampler, dataset) for sampler in samplers},
        "threads": config["compute"]["torch_threads"],
    }


def question_pools(dataset):
    """Pick the sampling options that decide which pools a job of a question finds."""
    needs = [need for need in POOL_OPTIONS if need != "domains_and_ranges" or is_applicable(dataset, "typed")]
    return {"infer_schema": None, **pool_options(*needs)}


def question_files(question):
    """Name the records that a question is answered by."""
    asked = ASKED[question]
    match question:
        case "graph_structure":
            paths = dict.fromkeys(path for path, _ in sweep_points().values())
            return expand(rules.sweep_structure.output.records, point=[*paths, *mixed_points()])
        case "auxiliary_quality":
            kinds = [auxiliary["model"] for auxiliary in asked["auxiliaries"]]
            return expand(rules.vary_auxiliary.output.records, dataset=DATASETS, auxiliary=["none", *kinds])
        case "random_integration":
            rows = [
                {"dataset": dataset, "sampler": sampler}
                for dataset in DATASETS
                for sampler in asked["samplers"]
                if is_applicable(dataset, sampler)
            ]
            if not rows:
                raise WorkflowError("config, open_questions.random_integration.samplers: no data set serves them")
            return fill(rules.vary_fallback.output.records, rows, fallback=asked["fallbacks"])


def sweep_files():
    """Tell the values of each property that is swept, and where their records are."""
    sweeps = {}
    for (moved, value), (path, _) in sweep_points().items():
        (file,) = expand(rules.sweep_structure.output.records, point=[path])
        sweeps.setdefault(moved, []).append([value, file])
    return sweeps


def defining_file(module, name):
    """Find the file of negsamp that defines a name, through the packages that hand it on."""
    path = ROOT.joinpath(*module.split("."))
    for file in (path / f"{name}.py", path.with_suffix(".py")):
        if file.is_file():
            return file
    package = path / "__init__.py"
    for node in ast.parse(package.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return defining_file(node.module, name)
    return package


@functools.cache
def imports_of(path):
    """Find the files of negsamp that a file imports from."""
    return {
        defining_file(node.module, alias.name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "negsamp"
        for alias in node.names
    }


def modules_of(path, seen):
    """Find the files of negsamp that a file imports from, directly or not."""
    for file in imports_of(path) - seen:
        seen.add(file)
        modules_of(file, seen)
    return seen


def code_of(script):
    """Digest the code that a script depends on, ours and the versions of others: imports trigger no rerun themselves."""
    modules = modules_of(ROOT / f"workflow_scripts/{script}.py", set())
    # what a module reads is beside it, under its name; entries of the registry are parameters of their own
    data = [file.with_suffix(kind) for file in modules for kind in (".toml", ".html.jinja") if file.stem != "registry"]
    files = sorted([*modules, *filter(Path.is_file, data)])
    ours = b"".join(file.relative_to(ROOT).as_posix().encode() + file.read_bytes() for file in files)
    content = ours + json.dumps(VERSIONS).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def version_of(name):
    """Look up a package's version; None where Snakemake runs without it, and Conda or nobody gives it to the jobs."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


#: what draws and computes beside our own code
VERSIONS = {name: version_of(name) for name in ("faiss-cpu", "numba", "numpy", "optuna", "pykeen", "scipy", "torch")}

CODE = {path.stem: code_of(path.stem) for path in sorted((ROOT / "workflow_scripts").glob("*.py"))}

check_questions()
