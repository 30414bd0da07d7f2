"""The virtual machine: N CPUs in deterministic virtual time, on one processor (machine.py)."""
