"""What tests of the bench scripts share."""

import pytest

from tests.bench.scripted import Script, Scripts


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Scripts:
    """Return a script of bench/ by its name."""
    return lambda name: Script(name, monkeypatch)
