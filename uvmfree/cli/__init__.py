"""The command line: one file per command in this folder.

=> Data on stdout, progress on stderr. Exit codes: status.py.
=> A command's file imports click and the errors; what draws or measures it imports when it is called, so that
   `--help` is quick.
"""

from __future__ import annotations

import signal
import sys
import traceback
from typing import NoReturn

import click

from uvmfree.cli.bench import bench
from uvmfree.cli.check_design import check_design
from uvmfree.cli.compare import compare
from uvmfree.cli.costs import costs
from uvmfree.cli.designs import designs
from uvmfree.cli.explain import explain
from uvmfree.cli.report import report
from uvmfree.cli.running import Interrupted
from uvmfree.cli.scale import scale
from uvmfree.cli.status import BAD_INPUT, BROKEN, READER_GONE
from uvmfree.cli.stdio import guard_streams
from uvmfree.cli.stress import stress
from uvmfree.cli.sweep import sweep
from uvmfree.cli.top import top
from uvmfree.cli.trace import trace
from uvmfree.cli.usage import say_wrong
from uvmfree.cli.usl import usl
from uvmfree.cli.values import refuse_empty
from uvmfree.errors import (
    AuditError,
    HangError,
    LockError,
    OutputError,
    UvmError,
    WorkerLostError,
    XcallError,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="uvmfree")
def cli() -> None:
    """NetBSD's page allocator before and after splitting uvm_fpageqlock, and other kernels' beside it.

    Begin with `uvmfree bench`. Each command has --help.
    """


for command in (bench, check_design, compare, costs, designs, explain, report, scale, stress, sweep, top, trace, usl):
    cli.add_command(command)
refuse_empty(cli)


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    guard_streams()
    if "" not in sys.path:
        sys.path.append("")  # a design that stands in the current folder; after all else, so that it hides nothing
    try:
        status = cli(prog_name="uvmfree", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        say_wrong(error)
        status = BAD_INPUT
    except (click.Abort, KeyboardInterrupt) as error:
        click.echo("uvmfree: interrupted", err=True)
        came = error.__cause__ if isinstance(error, click.Abort) else error
        status = (came if isinstance(came, Interrupted) else Interrupted(signal.SIGINT)).status
    except UvmError as error:
        status = _explain(error)
    sys.exit(status)


def _explain(error: UvmError) -> int:
    """Say what went wrong: bad input in one line, what should never happen with its traceback.

    => An error may quote a file: a terminal gets nothing from it that it would obey.
    """
    from uvmfree.measure.printable import printable
    from uvmfree.workload.driver import DriveError

    if isinstance(error, AuditError):
        for finding in error.findings:
            click.echo(f"uvmfree: audit: {printable(finding)}", err=True)
        return BROKEN
    if isinstance(error, OutputError) and error.reader_gone:
        return READER_GONE
    if isinstance(error, DriveError | HangError | LockError | WorkerLostError | XcallError):
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        click.echo(f"uvmfree: {printable(str(error))}", err=True)
        return BROKEN
    click.echo(f"uvmfree: {printable(str(error))}", err=True)
    return BAD_INPUT
