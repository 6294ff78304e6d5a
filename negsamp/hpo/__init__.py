"""Hyper-parameter search: the space, one training, a study of several."""

from negsamp.choice import choose
from negsamp.hpo.optuna_studies import SequentialStudy, write_studies
from negsamp.hpo.space import Search, SearchOptions, Space, suggest, trial_seed
from negsamp.hpo.study import content_of, retrain, run_kept, run_trials
from negsamp.hpo.tracking import Tracking
from negsamp.hpo.training import LOOPS, Options, Outcome, Study, Training, takes_margin

__all__ = [
    "LOOPS",
    "Options",
    "Outcome",
    "Search",
    "SearchOptions",
    "SequentialStudy",
    "Space",
    "Study",
    "Tracking",
    "Training",
    "choose",
    "content_of",
    "retrain",
    "run_kept",
    "run_trials",
    "suggest",
    "takes_margin",
    "trial_seed",
    "write_studies",
]
