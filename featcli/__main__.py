"""`python -m featcli`."""

from featcli.cli.main import main

if __name__ == "__main__":
    main()
