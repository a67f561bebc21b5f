"""Prints the table of jaxcam/models/_published.py from torchvision's enums of weights.

    PYTHONPATH=.:tests python tests/models/make_published.py

It needs torchvision; tests/models/test_published.py holds the table to it.
"""

import _torchvision

from jaxcam import models


def main() -> None:
    tv = _torchvision.load()
    for name in models.names():
        if not name.startswith("cifar_"):
            enum = tv.models.get_model_weights(name)
            entries = sorted(enum, key=lambda entry: entry is not enum.DEFAULT)  # the default first
            files = {entry.name: entry.url.rsplit("/", 1)[1] for entry in entries}
            print(f'    "{name}": {files},')


if __name__ == "__main__":
    main()
