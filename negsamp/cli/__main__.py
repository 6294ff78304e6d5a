"""``python -m negsamp.cli``."""

from negsamp.cli import main

if __name__ == "__main__":
    main()
