"""Losses made of level sets: Mumford-Shah, level-set, deep-level-set, and their semi-supervised sum."""

from __future__ import annotations

from .deep_level_set import DeepLevelSetLoss, DeepLevelSetOutput, deep_level_set_loss
from .deep_level_set_terms import (
    class_balanced_cross_entropy,
    direction_loss,
    distance_loss,
    true_direction,
)
from .level_set import LevelSetLoss, level_set_loss
from .mean_teacher import MeanTeacherLoss
from .mumford_shah import MumfordShahLoss, mumford_shah_loss
from .per_item import PerItemLoss
from .semi_supervised import SemiSupervisedLoss, semi_supervised_loss
from .signed_distance import SignedDistanceLoss
from .total_variation import total_variation
from .weighted_dice_ce import WeightedDiceCELoss

__all__ = [
    "DeepLevelSetLoss",
    "DeepLevelSetOutput",
    "LevelSetLoss",
    "MeanTeacherLoss",
    "MumfordShahLoss",
    "PerItemLoss",
    "SemiSupervisedLoss",
    "SignedDistanceLoss",
    "WeightedDiceCELoss",
    "class_balanced_cross_entropy",
    "deep_level_set_loss",
    "direction_loss",
    "distance_loss",
    "level_set_loss",
    "mumford_shah_loss",
    "semi_supervised_loss",
    "total_variation",
    "true_direction",
]
