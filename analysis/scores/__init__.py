"""Ballots to scores with intervals: Elo, ties and sides, curves, comparisons, leaderboards."""
