"""The commands `jaxcam methods` and `jaxcam models`."""

import json as jsonlib

import click

from ._once import Once
from ._options import told


@click.command(cls=Once)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def methods(as_json: bool) -> None:
    """List the methods: formula, source and cost."""
    from . import _listings

    rows = _listings.methods()
    if as_json:
        click.echo(jsonlib.dumps(rows, indent=1, ensure_ascii=False))
    else:
        _listings.show_methods(rows)


@click.command(cls=Once)
@click.argument("pattern", default="")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def models(pattern: str, as_json: bool) -> None:
    """List the models, or those whose name contains PATTERN."""
    from . import _listings

    with told():
        rows = _listings.models(pattern)
    if as_json:
        click.echo(jsonlib.dumps(rows, indent=1))
    else:
        _listings.show_models(rows)
