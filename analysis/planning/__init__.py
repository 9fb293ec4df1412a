"""Before and during a study: power, which pair to ask next, when to stop."""
