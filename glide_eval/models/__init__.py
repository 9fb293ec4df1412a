"""The models known by name, their weights, and the files that train new ones."""
