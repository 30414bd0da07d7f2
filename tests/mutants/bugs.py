"""All seeded bugs, by the name that `--mutant` takes."""

from typing import Final

from tests.mutants import bugs_depot, bugs_kern, bugs_linux, bugs_lists, bugs_llfree, bugs_magazines, bugs_system
from tests.mutants.mutation import Mutant

MUTANTS: Final[dict[str, Mutant]] = {
    mutant.name.lower().replace(" ", "-").replace("'", ""): mutant
    for mutant in (
        *bugs_lists.BUGS,
        *bugs_system.BUGS,
        *bugs_kern.BUGS,
        *bugs_linux.BUGS,
        *bugs_magazines.BUGS,
        *bugs_llfree.BUGS,
        *bugs_depot.BUGS,
    )
}
