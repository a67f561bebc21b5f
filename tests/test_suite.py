"""The suite itself."""

import re
from pathlib import Path

TESTS = Path(__file__).parent


def test_slow_tests_are_there():
    """A name that has changed would bring a slow test back into the default run."""
    lines = (TESTS / "slow.txt").read_text().splitlines()
    assert lines == sorted(set(lines))
    for line in lines:
        file, name = re.fullmatch(r"(tests/[\w/]+\.py)::(\w+)(?:\[.*\])?", line).groups()
        assert f"def {name}(" in (TESTS.parent / file).read_text(), line
