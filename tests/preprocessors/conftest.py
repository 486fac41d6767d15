"""The example photo, and networks of random weights in transformers' own layout."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.networks import write_networks
from underpaint.preprocessors.networks import NetworkName
from underpaint.preprocessors.picture import Picture

EXAMPLE = Path(__file__).parents[2] / "examples" / "photo.jpg"


@pytest.fixture(scope="session")
def example() -> Picture:
    """The example photo, 320 x 214."""
    with Image.open(EXAMPLE) as opened:
        return np.asarray(opened.convert("RGB").resize((320, 214)))


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[NetworkName, Path]:
    """A network of each kind. Not to be written to."""
    return write_networks(tmp_path_factory.mktemp("networks"))
