"""What can go wrong with models. Messages of `CatalogError` are fit for API clients: they name no path."""


class CatalogError(LookupError):
    """A request names a model that it cannot have."""


class UnknownModel(CatalogError):
    """The identifier is malformed, or nothing is known about it."""


class ModelNotInstalled(CatalogError):
    """The model is known, but its files are not on this machine; the message says how they get there."""


class ModelNotRunnable(CatalogError):
    """The model is installed, but this version has no code for its architecture or category."""


class ModelListUnreadable(CatalogError):
    """The list of installed models is damaged or cannot be read."""


class ModelRefused(ValueError):
    """A model cannot be added to or removed from the list. Its message may name paths."""


class AliasError(ValueError):
    """The configured aliases are malformed or lead in a circle."""
