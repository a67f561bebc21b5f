"""The command line. A command imports what it needs when it runs, so that `--help` waits for nothing."""

import json as jsonlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from . import __version__

FOLDER_OR_FILE = click.Path(path_type=Path)


class Mistake(click.ClickException):
    """A user's mistake: one line, exit code 2."""

    exit_code = 2


@contextmanager
def _told(kinds: tuple[type[Exception], ...] = (ValueError, OSError, ImportError)) -> Iterator[None]:
    """Turns an error of these kinds, by default what arguments can cause, into a `Mistake` in its words."""
    try:
        yield
    except kinds as error:
        raise Mistake(re.sub(r"\s*\n\s*", "; ", str(error))) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="jaxcam")
def main() -> None:
    """Class activation maps: what in a picture speaks for a class."""


@main.command()
@click.argument("pictures", nargs=-1, required=True, type=FOLDER_OR_FILE)
@click.option("--model", required=True, metavar="NAME", help="Architecture; `jaxcam models` lists them.")
@click.option(
    "--weights",
    required=True,
    type=FOLDER_OR_FILE,
    metavar="FILE",
    help="Its checkpoint: .pth, .safetensors, .npz or an orbax folder.",
)
@click.option(
    "--layer",
    metavar="L",
    help="Path of a layer, such as layer4 or features.12.  [default: the model's last with positions]",
)
@click.option(
    "--method", default="gradcam", show_default=True, metavar="M", help="`jaxcam methods` lists them."
)
@click.option(
    "--option", multiple=True, metavar="NAME=VALUE", help="An option of the method. May be repeated."
)
@click.option(
    "--target",
    multiple=True,
    metavar="CLASS",
    help="Number or name of a class, or top-K. May be repeated.  [default: top-1]",
)
@click.option(
    "--out",
    required=True,
    type=FOLDER_OR_FILE,
    metavar="DIR",
    help="Folder for overlays, maps and the index.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Write into a folder that is not empty; files of the same names are replaced.",
)
@click.option(
    "--labels",
    type=FOLDER_OR_FILE,
    metavar="FILE",
    help="Class names: one a line, index-synset-name with tabs, or JSON.  [default: ImageNet's, CIFAR-10's]",
)
@click.option(
    "--batch", default=16, show_default=True, type=click.IntRange(min=1), help="Pictures computed at once."
)
@click.option(
    "--size",
    type=click.Choice(["image", "layer"]),
    help="Size of the stored maps: the model's input or the layer.  [default: image]",
)
@click.option(
    "--raw", is_flag=True, help="Store the raw signed maps, at the layer's size, not those for display."
)
@click.option(
    "--crop/--squeeze",
    default=True,
    show_default=True,
    help="Take the picture's centre, or squeeze all of it into the model's square.",
)
@click.option("--colormap", default="turbo", show_default=True, help="Any colour map of matplotlib.")
@click.option(
    "--alpha",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of the colours in an overlay.",
)
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    type=click.Choice(["float32", "bfloat16"]),
    help="Floating point type the model computes in; maps are float32.",
)
def explain(size: str | None, raw: bool, **given) -> None:
    """Explain PICTURES, files or folders: an overlay and a map each, and an index.

    For each picture, and each target where there are several, DIR gets an overlay (.png) and the map as
    float32 (.npy, for numpy.load), in folders as the pictures are; index.json and index.csv list them with
    predictions.

    A picture that cannot be read is skipped, and the exit code is then 1. It is 2 where an argument is wrong.
    """
    if raw and size == "image":
        raise Mistake("--raw maps have the layer's size: leave out --size image")
    with _told():
        import converters

        from . import _explain_pictures

        job = _explain_pictures.prepare(
            load=converters.load, stored="raw" if raw else size or "image", **given
        )
    try:
        fine = _explain_pictures.carry_out(job)
    except KeyboardInterrupt:
        click.echo("interrupted: the index covers the pictures that are done", err=True)
        sys.exit(130)
    except OSError as error:
        raise click.ClickException(f"cannot write an output: {error}") from error
    except MemoryError as error:
        raise click.ClickException(f"{error}: pass a smaller --batch than {job.gallery.batch}") from error
    sys.exit(0 if fine else 1)


@main.command()
@click.argument("name")
@click.option(
    "--weights",
    required=True,
    type=FOLDER_OR_FILE,
    metavar="FILE",
    help="A checkpoint: .pth, .safetensors, .npz or an orbax folder.",
)
@click.option(
    "--out",
    required=True,
    type=FOLDER_OR_FILE,
    metavar="PATH",
    help="A name ending in .npz or .safetensors, or without ending for an orbax folder.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def convert(name: str, weights: Path, out: Path, overwrite: bool) -> None:
    """Convert the checkpoint of the model NAME to another format."""
    with _told():
        import converters

        if out.exists() and not overwrite:
            raise ValueError(f"{out} exists: choose another name, or pass --overwrite")
        model = converters.load(name, weights)
        converters.save(model, out, name=name, source=weights, overwrite=overwrite)
    click.echo(f"{weights} -> {out}")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def methods(as_json: bool) -> None:
    """List the methods: what they do, whose they are, what they cost."""
    from . import _listings

    rows = _listings.methods()
    if as_json:
        click.echo(jsonlib.dumps(rows, indent=1, ensure_ascii=False))
    else:
        _listings.show_methods(rows)


@main.command()
@click.argument("pattern", default="")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def models(pattern: str, as_json: bool) -> None:
    """List the models, or those whose name holds PATTERN."""
    from . import _listings

    with _told():
        rows = _listings.models(pattern)
    if as_json:
        click.echo(jsonlib.dumps(rows, indent=1))
    else:
        _listings.show_models(rows)


@main.command()
@click.option(
    "--out",
    default="jaxcam-demo",
    show_default=True,
    type=FOLDER_OR_FILE,
    metavar="DIR",
    help="Folder for the results.",
)
def demo(out: Path) -> None:
    """Explain scenes of handwritten digits with a small network that comes with jaxcam."""
    from . import demo as showcase

    with _told((OSError,)):
        showcase.run(out)
