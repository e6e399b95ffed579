"""A customer's API keys, on their pages."""
