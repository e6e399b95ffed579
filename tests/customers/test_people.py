"""A customer's people."""
