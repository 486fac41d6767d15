"""The catalog: which models there are, where their files lie, and what a request to them defaults to."""

from underpaint.catalog.catalog import Catalog
from underpaint.catalog.describe import NewModel, describe
from underpaint.catalog.embedded_entry import EMBEDDED
from underpaint.catalog.entry import Category, Form, ModelDefaults, ModelEntry, ModelFiles
from underpaint.catalog.errors import (
    AliasError,
    CatalogError,
    ModelListUnreadable,
    ModelNotInstalled,
    ModelNotRunnable,
    ModelRefused,
    UnknownModel,
)
from underpaint.catalog.search import SearchQuery

__all__ = [
    "EMBEDDED",
    "AliasError",
    "Catalog",
    "CatalogError",
    "Category",
    "Form",
    "ModelDefaults",
    "ModelEntry",
    "ModelFiles",
    "ModelListUnreadable",
    "ModelNotInstalled",
    "ModelNotRunnable",
    "ModelRefused",
    "NewModel",
    "SearchQuery",
    "UnknownModel",
    "describe",
]
