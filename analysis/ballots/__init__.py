"""Votes in: files, typed columns, ballots and win matrices."""
