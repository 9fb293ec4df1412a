"""Serving a study over HTTP: the web application, its limits and host names."""
