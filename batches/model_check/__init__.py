"""An executable model of the books: random operations on the real services, and a model of a few rules in plain Python.

A seed makes a plan of operations (`plan`). They are carried out on PostgreSQL by several connections, some of which die
between two statements (`performing`, `dying`); the model (`rules`, `steps`) says what each may answer and what it
leaves behind, and after each group of concurrent operations it is asked for an order of them that explains all that
is to be seen (`explaining`). docs/explanation/model.md says what that proves, and what it does not.
"""
