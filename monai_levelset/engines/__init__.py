"""Ignite trainers, memory replay, and what a run saves."""

from .checkpoint import BestNetwork, LastNetwork, RunCheckpoint
from .deep_level_set_trainer import DeepLevelSetTrainer
from .fcn_level_set_trainer import FCNLevelSetTrainer
from .interruption import Interruption
from .mean_teacher_trainer import MeanTeacherTrainer
from .memory_replay import MemoryReplay
from .pretrained import ImageNetWeights, PretrainedWeights
from .random_state import RandomState
from .semi_supervised_trainer import SemiSupervisedTrainer
from .training_board import TrainingBoard
from .training_history import TrainingHistory
from .training_progress import TrainingProgress
from .update_trainer import UpdateTrainer
from .validation import UpdateValidationHandler

__all__ = [
    "BestNetwork",
    "DeepLevelSetTrainer",
    "FCNLevelSetTrainer",
    "ImageNetWeights",
    "Interruption",
    "LastNetwork",
    "MeanTeacherTrainer",
    "MemoryReplay",
    "PretrainedWeights",
    "RandomState",
    "RunCheckpoint",
    "SemiSupervisedTrainer",
    "TrainingBoard",
    "TrainingHistory",
    "TrainingProgress",
    "UpdateTrainer",
    "UpdateValidationHandler",
]
