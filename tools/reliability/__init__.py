"""The scorecard: measures, on the emulator and with the real engine, what the provider promises when things go wrong.

Each measurement is one module with `measure(run)`; `__main__` lists and runs them, and `report` is what they are given and what they give.
"""
