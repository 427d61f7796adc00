"""Coverage-guided fuzzing of everything that reads what others wrote.

`targets` hold the promises, one function of some bytes per area; `corpus` holds the inputs worth
keeping; `python -m tests.fuzz TARGET` searches by coverage; `test_fuzz` replays the corpus and
tries a few new inputs wherever the tests run.
"""
