"""The command `jaxcam demo`."""

from pathlib import Path

import click

from . import _options as options
from ._once import Once
from ._options import told


@click.command(cls=Once)
@options.out("Folder for the results.", default="jaxcam-demo", show_default=True)
def demo(out: Path) -> None:
    """Explain scenes of handwritten digits with a small network that comes with jaxcam."""
    from .. import demo as showcase

    with told((OSError,)):
        showcase.run(out)
