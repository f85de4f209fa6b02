"""`python -m qa` is `pullquote`."""

from qa.cli import main

main()
