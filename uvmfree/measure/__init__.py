"""Measuring: runs of a workload on a design, what was seen of them, and the records that are kept."""
