"""What may be said of the votes, as numbers and verdicts, without sentences."""
