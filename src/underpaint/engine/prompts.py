"""The prompts of a pass as its model reads them, each encoded once for all jobs that have it."""

from collections.abc import Hashable
from contextlib import ExitStack
from dataclasses import replace

from underpaint.diffusion.embedding_names import is_named
from underpaint.diffusion.encoded import EncodedPrompt
from underpaint.diffusion.family import Family
from underpaint.diffusion.lora import TakesLoras
from underpaint.diffusion.textual_inversion import TakesEmbeddings
from underpaint.engine.additions import Acting
from underpaint.engine.encodings import ByteBudgetCache
from underpaint.engine.messages import JobRequest, Pass


def uses_guidance(guidance_scale: float) -> bool:
    """Whether a guidance scale asks for an unconditional row. At 1 and below, guidance is off, as the API has it."""
    return guidance_scale > 1.0


def encoded_prompts(
    asked: Pass,
    request: JobRequest,
    model: Family,
    encodings: ByteBudgetCache,
    additions: Acting,
) -> tuple[EncodedPrompt, ...]:
    """The prompt, and with guidance the negative prompt after it: one for each row of a forward pass. Pictures that are
    in place of the prompt follow on an empty one.

    Raises:
        PromptSyntaxError: the weights in a prompt are not written as the request says.
    """
    heard: Hashable = ()
    loras, words = additions.loras, additions.words
    if additions.in_place_of_prompt is not None:
        asked, request = replace(asked, prompt=""), replace(request, prompt_weighting=None)
    with ExitStack() as stack:
        if words:
            assert isinstance(model, TakesEmbeddings), "they have been loaded for it"
            stack.enter_context(model.with_words(words))
        if loras:
            assert isinstance(model, TakesLoras), "they have been loaded for it"
            stack.enter_context(model.with_loras(loras))
            # Prompts are the same to those LoRAs that leave the text encoders alone.
            heard = tuple(
                (addition.location, addition.weight)
                for addition, (lora, _) in zip(request.loras, loras, strict=True)
                if lora.touches_any(model.text_networks)
            )
        prompts = _encoded_by(asked, request, model, encodings, loras=heard)
    if additions.in_place_of_prompt is None:
        return prompts
    return tuple(prompt.followed_by(additions.in_place_of_prompt) for prompt in prompts)


def _encoded_by(
    asked: Pass, request: JobRequest, model: Family, encodings: ByteBudgetCache, *, loras: Hashable
) -> tuple[EncodedPrompt, ...]:
    def encoded(prompt: str, clip_skip: int, *, negative: bool = False) -> EncodedPrompt:
        named = tuple(
            (each.location, each.triggers, each.weight)
            for each in request.embeddings
            if is_named(prompt, each.triggers)
        )
        made: EncodedPrompt = encodings.get_or_make(
            ("prompt", request.model, prompt, negative, clip_skip, request.prompt_weighting, loras, named),
            lambda: model.encode_prompt(
                prompt, negative=negative, clip_skip=clip_skip, weighting=request.prompt_weighting
            ),
            lambda made: made.size_bytes,
        )
        return made

    prompt = encoded(asked.prompt, request.clip_skip)
    if model.guidance_is_an_input or not uses_guidance(asked.guidance_scale):
        return (prompt,)
    # As in diffusers, the negative prompt goes through all layers.
    return model.match_prompts(prompt, encoded(asked.negative_prompt, 0, negative=True))
