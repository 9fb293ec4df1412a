"""The pages: `rate` for raters, `owner` for the study's owner."""
