"""The parts of `benchmarks/accelerator.py`: each a function of a bench that yields rows."""
