"""Reading and writing files: images, TOML, tables, run folders, downloads."""
