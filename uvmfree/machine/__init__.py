"""Machines: what hardware and host give to the allocator, on real threads or in virtual time."""
