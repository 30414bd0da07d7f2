"""`python -m uvmfree` is the same as `uvmfree`."""

from uvmfree.cli import main

main()
