"""The public documentation: pages of Markdown files, search over them, prices, and the reference of the API."""
