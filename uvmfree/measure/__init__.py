"""Measuring: runs of a workload on a design, what was seen of them, and the layouts in which it is printed."""
