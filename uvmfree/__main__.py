"""The command `uvmfree`, and `python -m uvmfree`: hears what asks it to end, before it imports the rest.

=> As long as there is nothing to keep, Ctrl-C, SIGTERM and SIGHUP end the process at once: one line, and exit code
   128 + the signal. An exception would be printed wherever it strikes, in the middle of an import or of the
   interpreter's end. Work that is worth keeping hears them itself (cli/running.py).
=> What comes before these lines is the interpreter's start, a few hundredths of a second that are not ours.
"""

import _signal as signal  # type: ignore[import-not-found]  # `signal` makes enumerations first, for some milliseconds
import os


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    from uvmfree.cli import main as command_line

    command_line()


def _leave(number: int, frame: object) -> None:
    try:
        os.write(2, b"uvmfree: interrupted\n")
    finally:
        os._exit(128 + number)


if __name__ == "__main__":
    main()
