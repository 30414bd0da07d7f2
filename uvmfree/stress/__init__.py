"""Stress: all that can be done to a system, at random, with faults, and who watches that it gets on."""
