"""All seeded bugs, by the name that `--mutant` takes."""

from typing import Final

from tests.mutants import bugs_kern, bugs_lists, bugs_shipped, bugs_system
from tests.mutants.mutation import Mutant

MUTANTS: Final[dict[str, Mutant]] = {
    mutant.name.lower().replace(" ", "-").replace("'", ""): mutant
    for mutant in (*bugs_lists.BUGS, *bugs_system.BUGS, *bugs_kern.BUGS, *bugs_shipped.BUGS)
}
