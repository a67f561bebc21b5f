"""Arguments and options that commands share, and how errors and interruptions are reported."""

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from ._background import Left

DEFAULT_METHOD = "gradcam"


class Mistake(click.ClickException):
    """A user's mistake: one line, exit code 2."""

    exit_code = 2


class _Local(click.Path):
    """A path on this machine. URLs of `schemes` pass too."""

    def __init__(self, *schemes: str):
        super().__init__(path_type=Path)
        self.schemes = schemes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = os.fsdecode(value)
        name = param.human_readable_name if isinstance(param, click.Argument) else param and param.opts[-1]
        if not text.strip():
            raise Mistake(f"{name} is empty: name a file or a folder")
        scheme = re.match(r"([a-z][a-z0-9+.-]+):/", text, re.I)
        if scheme and scheme[1].lower() not in self.schemes and not os.path.exists(text):
            raise Mistake(f"{name} {text!r} is a URL: files are read from this machine, so download it first")
        return super().convert(value, param, ctx)


FOLDER_OR_FILE = _Local()


@contextmanager
def told(kinds: tuple[type[Exception], ...] = (ValueError, OSError, ImportError)) -> Iterator[None]:
    """Turns an error of these kinds, by default what arguments can cause, into a `Mistake` in its words."""
    try:
        yield
    except kinds as error:
        raise Mistake(re.sub(r"\s*\n\s*", "; ", str(error))) from error


def end(work: Callable[[], bool], *, batch: int, covered: str) -> None:
    """Does the work and exits: 0 where it returns True, 1 where it does not, 130 where it is interrupted.

    Args:
        batch: pictures at once, for the advice where memory does not suffice.
        covered: what covers the pictures that are done.
    """
    try:
        fine = work()
    except KeyboardInterrupt as interrupt:
        click.echo(f"interrupted: {covered} the pictures that are done", err=True)
        if isinstance(interrupt, Left):  # the end of Python would wait for what is still computed
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(130)
        sys.exit(130)
    except OSError as error:
        raise click.ClickException(f"cannot write an output: {error}") from error
    except MemoryError as error:
        raise click.ClickException(f"{error}: pass a smaller --batch than {batch}") from error
    sys.exit(0 if fine else 1)


T = TypeVar("T")


def take(group: Callable[..., T], given: dict[str, Any]) -> T:
    """The arguments of a command that belong together: takes those of `group` out of `given`."""
    return group(**{name: given.pop(name) for name in inspect.signature(group).parameters})


def named_method(given: dict[str, Any]) -> str | None:
    """The method among the arguments of a command, taken out of them; None where --method is left out."""
    method = given.pop("method")
    context = click.get_current_context()
    return None if context.get_parameter_source("method") is ParameterSource.DEFAULT else method


def check_new(path: Path, overwrite: bool) -> None:
    """Raises a `Mistake` for a path that is there and is not to be overwritten."""
    if path.exists() and not overwrite:
        raise Mistake(f"{path} exists: choose another name, or pass --overwrite")


def out(text: str, **settings: Any) -> Callable:
    return click.option("--out", type=FOLDER_OR_FILE, metavar="DIR", help=text, **settings)


def chosen(*flags: str, several: bool = False, **settings: Any) -> Callable:
    """An option that is given once or, for a command that takes several, repeatedly."""
    again = " Repeat it for each model." if several else ""
    return click.option(*flags, multiple=several, **settings | {"help": settings["help"] + again})


def together(*decorators: Callable) -> Callable:
    """One decorator for several options, which `--help` lists in this order."""
    return lambda command: functools.reduce(lambda function, each: each(function), decorators[::-1], command)


def model(*, several: bool = False, required: bool = True) -> Callable:
    """--model, --weights and --layer."""
    path = "Path of a layer, such as layer4 or features.12.  [default: the model's last layer with positions]"
    return together(
        chosen("--model", several=several, required=required, metavar="NAME", help=MODEL),
        weights(several=several),
        chosen("--layer", several=several, metavar="L", help=path),
    )


MODEL = (
    "Name of the architecture (`jaxcam models` lists them); or package.module:function, a function of yours that "
    "returns a flax.nnx.Module or a jaxcam.probe(...), looked for in the working folder, too; or a file that "
    "`jaxcam export` wrote."
)


def weights(*, several: bool = False) -> Callable:
    text = (
        "The model's checkpoint: a .pth, .safetensors or .npz file or an orbax folder; or the name of a published one, "
        "which is downloaded once: DEFAULT, IMAGENET1K_V2, ... or a tag of timm's, hf://timm/resnet50.a1_in1k. An "
        "explainer has its own, and a function may load its own."
    )
    return chosen("--weights", several=several, type=_Local("hf"), metavar="FILE", help=text)


pixels = together(
    click.option(
        "--image-size",
        type=click.IntRange(min=1),
        metavar="N",
        help="Sides of the model's input in pixels.  [default: the model's]",
    ),
    click.option(
        "--resize",
        type=click.IntRange(min=1),
        metavar="N",
        help="Shorter side of a picture before its centre is cropped, in pixels.  [default: the model's]",
    ),
    click.option(
        "--mean",
        metavar="R,G,B",
        help="What is subtracted from each channel, of values in [0, 1]; one number for all three.  "
        "[default: the model's]",
    ),
    click.option(
        "--std", metavar="R,G,B", help="What each channel is then divided by.  [default: the model's]"
    ),
    click.option(
        "--interpolation",
        type=click.Choice(["nearest", "bilinear", "bicubic", "lanczos", "hamming", "box"]),
        help="How a picture is resized.  [default: the model's]",
    ),
)


option = click.option(
    "--option",
    multiple=True,
    metavar="[METHOD.]NAME=VALUE",
    help="An option of the method, such as clusters=8 or clustercam.clusters=8; `jaxcam methods NAME` lists them. May "
    "be repeated.",
)

method = together(
    click.option(
        "--method",
        default=DEFAULT_METHOD,
        show_default=True,
        metavar="M",
        help="Name of the method (`jaxcam methods` lists them), or a transform of one, such as "
        "'smoothed(gradcam, samples=8)'. An explainer has its own.",
    ),
    option,
)

pictures = click.argument("pictures", nargs=-1, required=True, type=FOLDER_OR_FILE)

overwrite = click.option(
    "--overwrite",
    is_flag=True,
    help="Write into a folder that is not empty; files of the same names are replaced.",
)

replace = click.option("--overwrite", is_flag=True, help="Replace a file or folder that exists.")

labels = click.option(
    "--labels",
    type=FOLDER_OR_FILE,
    metavar="FILE",
    help="File of class names: one on each line; or index, synset and name separated by tabs; or JSON.  "
    "[default: ImageNet's or CIFAR-10's, by the number of classes]",
)

batch = click.option(
    "--batch",
    default=16,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of pictures computed at once.",
)

dtype = click.option(
    "--dtype",
    default="float32",
    show_default=True,
    type=click.Choice(["float32", "bfloat16"]),
    help="Floating point type of the model's computation; maps are float32.",
)


def fit(default: bool | None, shown: str | bool) -> Callable:
    return click.option(
        "--crop/--squeeze",
        default=default,
        show_default=shown,
        help="Crop each picture to its centre, or squeeze the whole picture into the model's square.",
    )
