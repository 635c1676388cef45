"""python -m outboxrelay."""

from outboxrelay.cli import main

if __name__ == "__main__":
    main()
