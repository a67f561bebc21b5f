"""Two runs into one store that begin in the same instant: one store, of one setting."""

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "double_starts.py"


def test_double_starts(tmp_path):
    """More of them, 50 of each kind, are in benchmarks/results/double_starts.md."""
    command = [sys.executable, str(BENCHMARK), "--rounds", "4", "--out", str(tmp_path / "figures.md")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| different | 4 of 4 | 0 |" in done.stdout
