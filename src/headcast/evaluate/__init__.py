"""Protocols and tables: what the product reaches, with the command that shows it."""
