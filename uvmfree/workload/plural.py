"""Counts in words, as people say them: 1 CPU, 2 CPUs, 1,024 pages."""


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, which takes an s unless there is one of it."""
    return f"{count:,} {noun}" + "s" * (count != 1)
