"""Reports: what was measured, drawn for people."""
