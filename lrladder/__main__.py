"""`python -m lrladder` is the command `lrladder`."""

from lrladder.benchmark.cli import main

main()
