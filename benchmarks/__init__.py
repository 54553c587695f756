"""Measurements that anyone can repeat: ``make bench``, or ``python -m benchmarks --help``.

Nothing here is a test and nothing fails because it is slow. Figures that are compared are measured in one run, in
turns, on the same input and with equal output; the best of the repeats counts on each side, since other work on the
machine only ever makes a run slower. No rate is printed without the sum of what came out beside what went in.
"""
