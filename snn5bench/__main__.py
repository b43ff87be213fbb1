"""`python -m snn5bench`"""

from snn5bench.cli import main

main()
