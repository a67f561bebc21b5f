"""The commands `jaxcam methods`, `jaxcam models` and `jaxcam classes`."""

import json as jsonlib
from pathlib import Path

import click

from . import _options as options
from ._once import Once
from ._options import told


@click.command(cls=Once)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def methods(name: str | None, as_json: bool) -> None:
    """List the methods: formula, source and cost. Of the method NAME, list the options, with defaults and meaning."""
    from . import _listings

    with told():
        rows = _listings.methods() if name is None else _listings.options_of(name)
    if as_json:
        click.echo(jsonlib.dumps(rows, indent=1, ensure_ascii=False))
    elif name is None:
        _listings.show_methods(rows)
    else:
        _listings.show_options(name)


@click.command(cls=Once)
@click.argument("pattern", default="")
@click.option("--model", metavar="NAME", help="An architecture, or a file that `jaxcam export` wrote.")
@options.labels
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def classes(pattern: str, model: str | None, labels: Path | None, as_json: bool) -> None:
    """List the classes whose name contains PATTERN, with their numbers: ImageNet's, or those of a model or a file."""
    from . import _listings

    with told((ValueError, OSError)):
        rows = _listings.classes(pattern, model=model, labels=labels)
    if as_json:
        click.echo(jsonlib.dumps(rows, indent=1, ensure_ascii=False))
    else:
        _listings.show_classes(rows)


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
