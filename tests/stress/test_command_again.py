"""The command that has a stress run again names all that it was asked for."""

import shlex

from uvmfree.machine.costs import costs_for
from uvmfree.stress.on_machine import Virtual
from uvmfree.stress.supervised import Options


def test_each_option_is_named_with_its_value() -> None:
    """But for a tunable that the design does not use: the command would refuse it."""
    machine = Virtual(
        costs=costs_for("epyc-2s", wakeup=2000), named="epyc-2s", changes=("wakeup=2000",), lock="mcs", busy=12.5
    )
    options = Options(
        seconds=0.25,
        seed=77,
        ncpus=6,
        npages=3000,
        faults=("stall", "storm"),
        settings=("refill=4", "ncolors=16", "depot.unit=8"),
        lockstat=True,
        machine=machine,
    )
    words = shlex.split(options.command("percpu"))
    assert words[:2] == ["uvmfree", "stress"]
    given = sorted(zip(words[2::2], words[3::2], strict=True))
    assert given == [
        ("--busy", "12.5"),
        ("--cost", "wakeup=2000"),
        ("--costs", "epyc-2s"),
        ("--cpus", "6"),
        ("--design", "percpu"),
        ("--faults", "stall,storm"),
        ("--format", "netbsd"),
        ("--lock", "mcs"),
        ("--machine", "virtual"),
        ("--npages", "3000"),
        ("--seconds", "0.25"),
        ("--seed", "77"),
        *(("--set", setting) for setting in ("ncolors=16", "refill=4")),
    ]


def test_what_goes_without_saying_is_not_said() -> None:
    assert "--machine" not in Options().command("percpu")
    assert Options(faults=()).command("percpu").count("--faults none") == 1
    assert "--busy" not in Options(seconds=0.25, machine=Virtual()).command("percpu")
