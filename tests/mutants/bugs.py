"""All seeded bugs, by the name that `--mutant` takes."""

from typing import Final

from tests.mutants import (
    bugs_depot,
    bugs_kern,
    bugs_linux,
    bugs_lists,
    bugs_llfree,
    bugs_magazines,
    bugs_measure,
    bugs_shipped,
    bugs_system,
)
from tests.mutants.mutation import Mutant

FILES: Final = (
    bugs_lists,
    bugs_system,
    bugs_kern,
    bugs_linux,
    bugs_magazines,
    bugs_shipped,
    bugs_llfree,
    bugs_depot,
    bugs_measure,
)

MUTANTS: Final[dict[str, Mutant]] = {
    mutant.name.lower().replace(" ", "-").replace("'", ""): mutant for file in FILES for mutant in file.BUGS
}

assert len(MUTANTS) == sum(len(file.BUGS) for file in FILES), "two bugs have one name, and only one of them would run"
