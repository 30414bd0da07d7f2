"""The kernel services that the allocator stands on: locks, counters, cross-calls."""
