"""What records say together: comparisons, the law of scaling, sweeps."""
