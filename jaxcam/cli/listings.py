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
@click.option("--markdown", is_flag=True, help="Print the cards of all methods as a page.")
def methods(name: str | None, as_json: bool, markdown: bool) -> None:
    """List the methods and transforms: formula, source and cost. Of the one NAME, print its card: when to use it, and
    its options, with defaults and meaning."""
    from . import _cards

    with told():
        rows = _cards.cards() if name is None else _cards.options_of(name)
    if as_json:
        click.echo(jsonlib.dumps(rows, indent=1, ensure_ascii=False))
    elif name is not None:
        _cards.show_card(name)
    elif markdown:
        click.echo(_cards.page(rows), nl=False)
    else:
        _cards.show_cards(rows)


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
