"""The report's tables, as printed and as CSV and LaTeX files."""
