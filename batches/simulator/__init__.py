"""A video provider for test, demo and pilot's first steps: an HTTP server of its own that speaks the OpenAI Videos format.

It renders real, playable clips, fails on request (marks in the prompt) or at random (options), and shares nothing
with the platform but the vocabulary of failures: the worker reaches it through the same adapter as a paid provider.
"""
