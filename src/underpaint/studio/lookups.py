"""Models by the catalog, for tasks: what is wrong with one is said in the shape of the API."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from underpaint.catalog import Catalog, CatalogError, ModelEntry, ModelListUnreadable, ModelNotInstalled
from underpaint.catalog.download import DownloadFailed, local_files
from underpaint.studio.downloads import Downloads
from underpaint.wire import TaskError
from underpaint.wire.errors import parameter_code


@contextmanager
def refusing_as(parameter: str) -> Iterator[None]:
    """Say what the catalog refuses as an error of that parameter. Raises `TaskError`."""
    try:
        yield
    except (ModelNotInstalled, DownloadFailed) as missing:
        raise TaskError("modelNotReady", str(missing), parameter=parameter, type="string") from None
    except ModelListUnreadable as damaged:
        raise TaskError("internalServerError", str(damaged)) from None
    except CatalogError as refusal:
        code = parameter_code("invalid", parameter)
        raise TaskError(code, str(refusal), parameter=parameter, type="string") from None


def checkpoint(catalog: Catalog, air: str, *, parameter: str, as_refiner: bool = False) -> ModelEntry:
    """The entry of a model that is to make pictures. Raises `TaskError`."""
    with refusing_as(parameter):
        return catalog.resolve(air, as_refiner=as_refiner)


async def files_of(entry: ModelEntry, downloads: Downloads, *, parameter: str) -> Path:
    """The folder or file of a model, which is downloaded first if it has not been. Raises `TaskError`."""
    with refusing_as(parameter):
        if entry.files is not None and entry.files.form != "hub":
            return local_files(entry)
        return await downloads.get((entry.air, entry.files), partial(local_files, entry))
