"""The suites that catch most bugs, by short names: a test is named by what stands behind tests/."""


def machine(variant: str) -> str:
    """Any calls on any CPU beside a naive model (tests/model), for one design or variant."""
    return f"model/test_machine.py::test_any_calls_give_what_the_model_gives[{variant}]"


def schedules(model: str) -> str:
    """Short programs under schedules that an explorer chooses (tests/explore)."""
    return f"explore/test_models.py::test_nothing_goes_wrong_on_any_schedule[{model}]"


def programs(variant: str) -> str:
    """Programs on real threads, watched by an unlocked reader (tests/threads)."""
    return f"threads/test_programs.py::test_counters_agree_with_the_lists_whatever_the_cpus_do[{variant}]"


def requests(variant: str) -> str:
    """Thousands of ranged allocations beside a set of free frames (tests/mechanism)."""
    return f"mechanism/test_pglist_model.py::test_thousands_of_requests_agree_with_a_set_of_free_frames[{variant}]"
