"""``python -m breadth`` is the command line."""

from breadth.commands.app import main

if __name__ == "__main__":
    main()
