"""Many inputs: plan them, process one, run all."""
