"""Metrics against people: do metrics rank arms as raters do?"""
