"""`python -m meter_sim.lab.proxy`: the proxy on its own. Exit status 2: bad input, in one clear line."""

import sys

import typer

from meter_sim.lab.proxy.command import BAD_INPUT, proxy_command

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(proxy_command)


def main() -> None:
    """Entry point."""
    try:
        app()
    except ValueError as error:
        print(f"proxy: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
