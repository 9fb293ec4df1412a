"""Making a study: from runs, from another study, from votes, with simulated raters."""
