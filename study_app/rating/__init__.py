"""A rater's turn: who is let in, which pair comes next, when a vote counts."""
