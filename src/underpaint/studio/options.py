"""How the engine runs, by the settings: the same for the server and for the library."""

from underpaint.engine.messages import EngineOptions, ModelReference
from underpaint.settings import Settings

COMPILED = "compiled"
"""In the data folder: what OpenVINO has made of models."""
CHECKPOINTS = "checkpoints"
"""In the data folder: unfinished pictures between two steps. Only those that have a name for it are kept."""


def engine_options(settings: Settings, *, preload: ModelReference | None = None) -> EngineOptions:
    """Options of an engine; `preload` is a model for it to load before the first job comes."""
    return EngineOptions(
        device=settings.device,
        dtype=settings.dtype,
        cpu_offload=settings.cpu_offload,
        executor=settings.executor,
        compiled=settings.data_dir / COMPILED,
        compiled_bytes=settings.compiled_bytes,
        threads=settings.threads,
        models_bytes=settings.models_bytes,
        max_rows=settings.max_rows,
        strict_rows=settings.strict_rows if settings.determinism == "strict" else None,
        encodings_bytes=settings.encodings_bytes,
        checkpoints=settings.data_dir / CHECKPOINTS,
        checkpoint_interval_s=settings.checkpoint_interval_s,
        additions_bytes=settings.additions_bytes,
        preload=preload,
    )
