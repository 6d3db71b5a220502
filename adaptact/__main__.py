"""`python -m adaptact`: the command, also where no script of that name is on the path."""

from adaptact.cli import main

if __name__ == "__main__":
    main()
