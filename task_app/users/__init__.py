"""The people who get mail: a small table of its own, beside the jobs."""
