"""The hair as a surface around the head, its texture, and the scalp below."""
