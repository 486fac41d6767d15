"""What acts upon a loaded model for some of its jobs: kept while there is room, so that no job waits for another's."""

from underpaint.diffusion.autoencoder import Autoencoder, TakesAutoencoders
from underpaint.diffusion.family import Family, ModelLoadError
from underpaint.diffusion.lora import Lora, Loras, TakesLoras
from underpaint.engine.encodings import ByteBudgetCache
from underpaint.engine.messages import Addition, JobRequest, ModelReference


class LoadedAdditions:
    """LoRAs and autoencoders by the model that they are for, up to a number of bytes. Those of running jobs stay in any
    case.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._loaded = ByteBudgetCache(budget_bytes)

    def loras(self, request: JobRequest, model: Family) -> Loras:
        """The LoRAs of a job, each with its weight.

        Raises:
            ModelLoadError: one of them cannot be used with the model.
        """
        if not request.loras:
            return ()
        if not isinstance(model, TakesLoras):
            raise ModelLoadError(f"models of {request.model.architecture} take no LoRA")
        return [(self._lora(addition, request.model, model), addition.weight) for addition in request.loras]

    def autoencoder(self, request: JobRequest, model: Family) -> Autoencoder | None:
        """What takes the place of the model's own autoencoder; None for that one.

        Raises:
            ModelLoadError: it cannot be used with the model.
        """
        if request.vae is None:
            return None
        if not isinstance(model, TakesAutoencoders):
            raise ModelLoadError(f"models of {request.model.architecture} work with their own VAE only")
        location = request.vae.location
        autoencoder: Autoencoder = self._loaded.get_or_make(
            ("vae", request.model, location),
            lambda: model.load_autoencoder(location),
            lambda autoencoder: autoencoder.size_bytes,
        )
        return autoencoder

    def forget(self, model: ModelReference) -> None:
        """Drop what belongs to a model that is dropped."""
        self._loaded.forget(lambda key: model in key)

    def _lora(self, addition: Addition, reference: ModelReference, model: TakesLoras) -> Lora:
        lora: Lora = self._loaded.get_or_make(
            ("lora", reference, addition.location),
            lambda: model.load_lora(addition.location),
            lambda lora: lora.size_bytes,
        )
        return lora
