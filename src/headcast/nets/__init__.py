"""Blocks that several networks share; none of them knows what a head is."""
