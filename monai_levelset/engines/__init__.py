"""Ignite trainers, memory replay, and what a run saves."""

from .checkpoint import BestNetwork, LastNetwork, RandomState, RunCheckpoint
from .deep_level_set_trainer import DeepLevelSetTrainer
from .fcn_level_set_trainer import FCNLevelSetTrainer
from .memory_replay import MemoryReplay
from .pretrained import ImageNetWeights, PretrainedWeights
from .semi_supervised_trainer import SemiSupervisedTrainer
from .update_trainer import UpdateTrainer
from .validation import UpdateValidationHandler

__all__ = [
    "BestNetwork",
    "DeepLevelSetTrainer",
    "FCNLevelSetTrainer",
    "ImageNetWeights",
    "LastNetwork",
    "MemoryReplay",
    "PretrainedWeights",
    "RandomState",
    "RunCheckpoint",
    "SemiSupervisedTrainer",
    "UpdateTrainer",
    "UpdateValidationHandler",
]
