"""What the paths cost, in picoseconds per value, on the machine of `benchmarks/results`.

Only their order matters: the planner takes the cheapest. `benchmarks/engine.py --paths` measures
the paths side by side.
"""

from __future__ import annotations

# One addition or multiplication of a tile in the cache (np.add and the like with out=).
OPERATION = {"int16": 50, "float32": 95, "float64": 200}
# One multiply-add of a band matrix from the left (Band) and from the right (RowBand).
BAND = {"float32": 13, "float64": 30}
ROW_BAND = {"float32": 11, "float64": 24}
# A forward and a backward transform, with the spectra's product, taking the channels apart.
FOURIER = {"float32": 5300, "float64": 8000}
# Bringing pixels into the working type, and results out of it.
LOAD = {"int16": 30, "float32": 85, "float64": 120}
STORE = {"int16": 65, "float32": 0, "float64": 90}
SCALE = 75
