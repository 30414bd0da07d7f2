"""What was measured, in the words and the layouts that other tools have made known."""
