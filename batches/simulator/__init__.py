"""A video provider for tests, demo and test mode: an HTTP server that speaks the OpenAI Videos format.

It renders real, playable clips, fails on request (marks in the prompt) or at random (options), and shares
nothing with the platform but the names of failures: the worker reaches it as it reaches a paid provider.
"""
