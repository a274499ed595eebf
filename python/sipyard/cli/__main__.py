"""`python -m sipyard.cli`."""

from sipyard.cli import main

main()
