"""`python -m adaptact`: the command, where its script is not on the path."""

from adaptact.cli import main

if __name__ == "__main__":
    main()
