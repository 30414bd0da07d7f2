"""What stands in for a terminal in tests."""

import io


class Terminal(io.StringIO):
    """Keeps what is printed."""

    def isatty(self) -> bool:
        return True
