"""A strict local Runpod REST API v2, for tests and for trying a stack before spending money.

It shares no code with the provider: its rules are written from Runpod's published API document.
"""

from runpod_emulator.app import create_app
from runpod_emulator.clock import Clock

__all__ = ["Clock", "create_app"]
