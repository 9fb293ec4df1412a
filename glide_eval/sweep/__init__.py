"""A sweep: shards of every arm's images, into a run folder that can always be resumed."""
