"""What a study is: its design, pairs, turns and exclusions, without a database."""
