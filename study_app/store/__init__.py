"""A study's database: tables, statements, migrations, the writer, backups."""
