"""Who does the work that `benchmarks.execution` measures: a running system of ours, and the naive design beside it."""
