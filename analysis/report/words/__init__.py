"""The report's sentences and the way it prints numbers and names."""
