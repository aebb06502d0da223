"""``python -m galmerge_da`` is the ``galmerge`` command."""

from galmerge_da.cli import main

if __name__ == "__main__":
    main(prog_name="galmerge")
