"""Folders of portraits: one avatar an item, resumable, on a pool of processes or on a Ray cluster."""
