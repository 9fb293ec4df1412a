"""The report as PDF and as Markdown."""
