"""How an item gets done: submit, look up what is ambiguous, poll, collect. Each stage drains what is due for it.

PostgreSQL is the queue: an open item stands in its row with a stage and a time. Every function here may be called by
any number of workers at once, and may be killed at any moment.
"""
