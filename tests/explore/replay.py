"""Run one schedule of a model again: python -m tests.explore.replay MODEL PROGRAM SCHEDULE [--patch MODULE:NAME].

=> From the project's folder, with the Python that recorded it. A failing exploration prints the whole line.
=> Exit 1 and the failure if it fails again, 0 if it does not, 2 on a wrong argument.
"""

import argparse
import sys
from pathlib import Path

from tests.explore.explorer import replay
from tests.explore.models import MODELS
from tests.explore.scene import parsed


def main() -> int:
    """Parse the line, replay, print what came of it."""
    parser = argparse.ArgumentParser(prog="tests.explore.replay", description="run one schedule of a model again")
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("program")
    parser.add_argument("schedule", type=Path)
    parser.add_argument("--patch", help="MODULE:NAME of the context manager that it was found under")
    given = parser.parse_args()
    model = MODELS[given.model]
    try:
        outcome = replay(model, parsed(model, given.program), given.schedule, given.patch)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(outcome.failure or f"{model.name}: nothing failed on this schedule")
    return 0 if outcome.failure is None else 1


if __name__ == "__main__":
    sys.exit(main())
