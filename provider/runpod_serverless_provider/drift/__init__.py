"""Finds where Runpod and the state of stacks have parted, says what can be known of why, and what `pulumi up` would do.

`find_drift` is all that a program needs; the command `runpod-serverless drift` is it with the formats of `formats`.
"""

from .causes import Account, ListWorkers, Worker, WorkersUnknown
from .engine import DriftError
from .report import SECRET, Cause, CauseKind, PropertyDrift, Report, ResourceDrift, StackReport, Undeployed, Up
from .search import Progress, find_drift

__all__ = [
    "SECRET",
    "Account",
    "Cause",
    "CauseKind",
    "DriftError",
    "ListWorkers",
    "Progress",
    "PropertyDrift",
    "Report",
    "ResourceDrift",
    "StackReport",
    "Undeployed",
    "Up",
    "Worker",
    "WorkersUnknown",
    "find_drift",
]
