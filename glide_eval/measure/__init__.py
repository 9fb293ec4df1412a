"""Which metrics of which arms: one pass over a run or over folders, and its tables."""
