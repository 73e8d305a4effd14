"""`python -m runpod_emulator` is the `runpod-emulator` command."""

from runpod_emulator.cli import main

main()
