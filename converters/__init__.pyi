from ._convert import from_torch as from_torch
from ._convert import to_torch as to_torch
from ._fetch import fetch as fetch
from ._files import load as load
from ._files import save as save
from ._metadata import metadata as metadata
from ._read import read as read
