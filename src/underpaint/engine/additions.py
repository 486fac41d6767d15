"""What acts upon a loaded model for some of its jobs: kept while there is room, so that no job waits for another's."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from underpaint.diffusion.autoencoder import Autoencoder, TakesAutoencoders
from underpaint.diffusion.encoded import Picture
from underpaint.diffusion.family import Family, ModelLoadError
from underpaint.diffusion.image_encoder import ImageEncoder
from underpaint.diffusion.ip_adapter import EncodedImagePrompt, ImagePrompts, IPAdapter, TakesImagePrompts
from underpaint.diffusion.lora import Lora, Loras, TakesLoras
from underpaint.diffusion.mask_crop import MaskCrop
from underpaint.diffusion.redux import Redux, SiglipEncoder, TakesRedux
from underpaint.diffusion.textual_inversion import NewWord, TakesEmbeddings, TextualInversion
from underpaint.engine.controlnets import ActingControl, acting_controls
from underpaint.engine.encodings import ByteBudgetCache
from underpaint.engine.messages import Addition, ImagePrompt, JobRequest, Mask, ModelReference
from underpaint.engine.models import LoadedModels
from underpaint.engine.refusals import refusing


class RowPrompts(NamedTuple):
    """The image prompts of a job's rows."""

    conditional: ImagePrompts = ()
    unconditional: ImagePrompts = ()


@dataclass(frozen=True, kw_only=True)
class Acting:
    """What acts upon the model, or in place of a part of it, for one job."""

    loras: Loras = ()
    words: Sequence[NewWord] = ()
    image_prompts: RowPrompts = field(default_factory=RowPrompts)
    in_place_of_prompt: Tensor | None = None
    """(tokens, width) that follow on an empty prompt, and there is no other."""
    controls: Sequence[ActingControl] = ()
    autoencoder: Autoencoder | None = None


class LoadedAdditions:
    """LoRAs, embeddings, IP-Adapters and autoencoders by the model that they are for, and image encoders, up to a
    number of bytes. Those of running jobs stay in any case, and so does an image encoder that alone takes more: that of
    a published adapter is often as large as the model, and every new guide image needs it. ControlNets, which are
    large, too, are among the models.
    """

    def __init__(self, budget_bytes: int, models: LoadedModels, *, strict: bool = False) -> None:
        """Start without any.

        Args:
            budget_bytes: of all of them.
            models: in memory.
            strict: whether the sums of a row have to be the same whoever shares its passes.
        """
        self._budget_bytes = budget_bytes
        self._loaded = ByteBudgetCache(budget_bytes)
        self._large_encoder: tuple[Path, ImageEncoder] | None = None
        self._models = models
        self._strict = strict

    def acting(
        self,
        request: JobRequest,
        model: Family,
        encodings: ByteBudgetCache,
        *,
        crop: MaskCrop | None = None,
        mask: Mask | None = None,
    ) -> Acting:
        """All that a job asks for.

        Args:
            request: of the job.
            model: that it runs on.
            encodings: what was encoded before.
            crop: the part of the picture that the job works on; None for all of it.
            mask: of that part.

        Raises:
            ModelLoadError: some of it cannot be used with the model, or as it is to be used.
        """
        return Acting(
            loras=self._loras(request, model),
            words=self._words(request, model),
            image_prompts=self._image_prompts(request, model, encodings),
            in_place_of_prompt=self._in_place_of_prompt(request, model, encodings),
            controls=acting_controls(request, model, self._models, strict=self._strict, crop=crop, mask=mask),
            autoencoder=self._autoencoder(request, model),
        )

    def release(self) -> bool:
        """Drop everything, for want of memory; whether there was anything."""
        held = self._large_encoder is not None or self._loaded.size_bytes > 0
        self._large_encoder = None
        self._loaded.forget(lambda key: True)
        return held

    def forget(self, model: ModelReference) -> None:
        """Drop what belongs to a model that is dropped."""
        self._loaded.forget(lambda key: model in key)

    def _loras(self, request: JobRequest, model: Family) -> Loras:
        if not request.loras:
            return ()
        if not isinstance(model, TakesLoras):
            raise ModelLoadError(f"models of {request.model.architecture} take no LoRA")
        loras = []
        for index, addition in enumerate(request.loras):
            with refusing("loras", index):
                loras.append((self._lora(addition, request.model, model), addition.weight))
        return loras

    def _words(self, request: JobRequest, model: Family) -> Sequence[NewWord]:
        if not request.embeddings:
            return ()
        if not isinstance(model, TakesEmbeddings):
            raise ModelLoadError(f"models of {request.model.architecture} take no embedding")
        words = []
        for index, each in enumerate(request.embeddings):
            with refusing("embeddings", index):
                inversion = self._inversion(each, request.model, model)
            words.append(NewWord(inversion, each.triggers, each.weight))
        return words

    def _autoencoder(self, request: JobRequest, model: Family) -> Autoencoder | None:
        """What takes the place of the model's own autoencoder; None for that one."""
        if request.vae is None:
            return None
        if not isinstance(model, TakesAutoencoders):
            raise ModelLoadError(f"models of {request.model.architecture} work with their own VAE only")
        location = request.vae.location
        with refusing("vae"):
            autoencoder: Autoencoder = self._loaded.get_or_make(
                ("vae", request.model, location),
                lambda: model.load_autoencoder(location),
                lambda autoencoder: autoencoder.size_bytes,
            )
        return autoencoder

    def _image_prompts(self, request: JobRequest, model: Family, encodings: ByteBudgetCache) -> RowPrompts:
        """What the IP-Adapters of a job tell its rows."""
        if not request.image_prompts or isinstance(model, TakesRedux):
            return RowPrompts()
        if not isinstance(model, TakesImagePrompts):
            raise ModelLoadError(f"models of {request.model.architecture} take no IP-Adapter")
        told = []
        for index, asked in enumerate(request.image_prompts):
            with refusing("image_prompts", index):
                told.append(self._told(asked, request.model, model, encodings))
        return RowPrompts([each for each, _ in told], [each for _, each in told])

    def _in_place_of_prompt(
        self, request: JobRequest, model: Family, encodings: ByteBudgetCache
    ) -> Tensor | None:
        """What Redux makes of pictures: the tokens of one after those of the other."""
        if not request.image_prompts or not isinstance(model, TakesRedux):
            return None
        reduced = []
        for index, asked in enumerate(request.image_prompts):
            with refusing("image_prompts", index):
                reduced.append(self._reduced(asked, request.model, model, encodings))
        return torch.cat(reduced)

    def _lora(self, addition: Addition, reference: ModelReference, model: TakesLoras) -> Lora:
        lora: Lora = self._loaded.get_or_make(
            ("lora", reference, addition.location),
            lambda: model.load_lora(addition.location),
            lambda lora: lora.size_bytes,
        )
        return lora

    def _inversion(
        self, addition: Addition, reference: ModelReference, model: TakesEmbeddings
    ) -> TextualInversion:
        inversion: TextualInversion = self._loaded.get_or_make(
            ("embedding", reference, addition.location),
            lambda: model.load_inversion(addition.location),
            lambda inversion: inversion.size_bytes,
        )
        return inversion

    def _told(
        self,
        asked: ImagePrompt,
        reference: ModelReference,
        model: TakesImagePrompts,
        encodings: ByteBudgetCache,
    ) -> tuple[EncodedImagePrompt, EncodedImagePrompt]:
        adapter: IPAdapter = self._loaded.get_or_make(
            ("ip-adapter", reference, asked.location),
            lambda: model.load_ip_adapter(asked.location),
            lambda adapter: adapter.size_bytes,
        )
        try:
            weights = adapter.weights(
                kind=asked.weight_type, weight=asked.weight, composition=asked.weight_composition
            )
        except ValueError as failure:
            raise ModelLoadError(f"weightType {asked.weight_type} cannot be used: {failure}") from None

        def encoded(picture: Picture | None) -> Tensor:
            made: Tensor = encodings.get_or_make(
                ("guide", asked.encoder, adapter.reads_layer, *_content(picture)),
                lambda: self._encoder(asked, model).encode(picture, layer=adapter.reads_layer),
                lambda made: made.nbytes,
            )
            return made

        def prompt(encodings_of_pictures: list[Tensor]) -> EncodedImagePrompt:
            try:
                tokens = adapter.tokens(encodings_of_pictures, asked.combination)
            except RuntimeError as failure:
                raise ModelLoadError(
                    f"{asked.location.name} was trained with another image encoder than {asked.encoder.name}: {failure}"
                ) from failure
            return EncodedImagePrompt(adapter=adapter, tokens=tokens, weights=weights, scaling=asked.scaling)

        pictures = [encoded(picture) for picture in asked.pictures]
        # As many tokens as the pictures have, so that both rows of a job share what is computed.
        nothing = [encoded(None)] * (len(pictures) if asked.combination == "concat" else 1)
        return prompt(pictures), prompt(nothing)

    def _encoder(self, asked: ImagePrompt, model: TakesImagePrompts) -> ImageEncoder:
        if self._large_encoder is not None and self._large_encoder[0] == asked.encoder:
            return self._large_encoder[1]

        def load() -> ImageEncoder:
            # Before the next one comes: there may be no room for two.
            self._large_encoder = None
            return model.load_image_encoder(asked.encoder)

        encoder: ImageEncoder = self._loaded.get_or_make(
            ("image encoder", asked.encoder), load, lambda encoder: encoder.size_bytes
        )
        if encoder.size_bytes > self._budget_bytes:
            self._large_encoder = (asked.encoder, encoder)
        return encoder

    def _reduced(
        self, asked: ImagePrompt, reference: ModelReference, model: TakesRedux, encodings: ByteBudgetCache
    ) -> Tensor:
        """(tokens, width) of the pictures of one entry."""
        redux: Redux = self._loaded.get_or_make(
            ("redux", reference, asked.location),
            lambda: model.load_redux(asked.location),
            lambda redux: redux.size_bytes,
        )

        def encoder() -> SiglipEncoder:
            loaded: SiglipEncoder = self._loaded.get_or_make(
                ("siglip", reference, asked.encoder),
                lambda: model.load_siglip(asked.encoder),
                lambda loaded: loaded.size_bytes,
            )
            return loaded

        def encoded(picture: Picture) -> Tensor:
            made: Tensor = encodings.get_or_make(
                ("siglip", reference, asked.encoder, *_content(picture)),
                lambda: encoder().encode(picture),
                lambda made: made.nbytes,
            )
            return made

        try:
            return redux.tokens([encoded(picture) for picture in asked.pictures], asked.combination)
        except RuntimeError as failure:
            raise ModelLoadError(
                f"{asked.location.name} was trained with another image encoder than {asked.encoder.name}: {failure}"
            ) from failure


def _content(picture: Picture | None) -> tuple[object, ...]:
    if picture is None:
        return ()
    return (picture.shape, hashlib.blake2b(picture.tobytes(), digest_size=32).digest())
