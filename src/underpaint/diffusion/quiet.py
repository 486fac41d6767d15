"""Loading a model without the libraries' own chatter.

diffusers and transformers draw progress bars and warn about things that no user of Underpaint can act on, such as an
autoencoder of another class than the pipeline's annotation names. Errors still come through, as exceptions.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hold back their warnings and progress bars for as long as the context lasts, then restore what was set."""
    # transformers first: importing diffusers makes it import, and warn, too.
    from transformers.utils import logging as transformers_logging

    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        from diffusers.utils import logging as diffusers_logging

        diffusers_level = diffusers_logging.get_verbosity()
        diffusers_bars = diffusers_logging.is_progress_bar_enabled()
        diffusers_logging.set_verbosity_error()
        diffusers_logging.disable_progress_bar()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                with quiet_arithmetic():
                    yield
        finally:
            diffusers_logging.set_verbosity(diffusers_level)
            if diffusers_bars:
                diffusers_logging.enable_progress_bar()
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


@contextmanager
def quiet_arithmetic() -> Iterator[None]:
    """Hold back what numpy says of how diffusers' schedulers turn tensors into arrays, and torchsde of sigmas that were
    rounded to float32.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", message="Should have t[ab]", category=UserWarning)
        yield
