"""The comparison report: computed once, then written as a page, figures and tables."""
