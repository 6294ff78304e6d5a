"""Hyper-parameter search: the space, one training, a study of several."""

from negsamp.hpo.choice import choose
from negsamp.hpo.space import suggest, trial_seed
from negsamp.hpo.study import retrain, run_trials
from negsamp.hpo.training import Options, Study, Training

__all__ = ["Options", "Study", "Training", "choose", "retrain", "run_trials", "suggest", "trial_seed"]
