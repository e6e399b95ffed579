"""Formats by language, where Django's module path looks for them."""
