"""How raters did: agreement, conduct and the screens that flag careless ones."""
