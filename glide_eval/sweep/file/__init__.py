"""The sweep file as typed records: its tables, its prompts and the arms it expands to."""
