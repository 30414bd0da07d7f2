"""Packages that a core install does not have: what draws, writes traces, fits and spreads work over machines."""

import importlib
from types import ModuleType

from uvmfree.errors import ExtraError


def needs(module: str, extra: str, what: str) -> ModuleType:
    """Import a package of an extra; ExtraError says what needs it and how it is had."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.partition(".")[0] != error.name.partition(".")[0]:
            raise  # the package is there and lacks one of its own
        raise ExtraError(f"{what} needs {error.name}: pip install 'uvmfree[{extra}]'") from None
