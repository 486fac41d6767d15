"""What a picture says about its own making, in the words of the API."""

from collections.abc import Sequence

from underpaint.catalog import ModelEntry
from underpaint.diffusion.strength import steps_to_run
from underpaint.engine.messages import Addition, DeepCache, Finished, JobRequest
from underpaint.version import __version__
from underpaint.wire import Refiner


def picture_parameters(
    job: JobRequest, entry: ModelEntry, finished: Finished, *, refiner: Refiner | None = None
) -> dict[str, object]:
    """The parameters that make the picture again, with Underpaint's version."""
    transformed = (
        {} if job.picture is None else {"strength": job.strength, "effectiveSteps": finished.steps_run}
    )
    said = {
        **({"clipSkip": job.clip_skip} if job.clip_skip else {}),
        **({"promptWeighting": job.prompt_weighting} if job.prompt_weighting else {}),
        **({"maskMargin": job.mask_margin_px} if job.mask_margin_px else {}),
        **({"refiner": _refiner(job, refiner)} if refiner else {}),
        **({"vae": job.vae.air} if job.vae else {}),
        **({"lora": _weighted(job.loras)} if job.loras else {}),
        **({"embeddings": _weighted(job.embeddings)} if job.embeddings else {}),
        **({"ipAdapters": _ip_adapters(job)} if job.image_prompts else {}),
        # How many; the pictures themselves are not told, nor is the seed image.
        **({"referenceImages": len(job.reference_pictures)} if job.reference_pictures else {}),
        **({"acceleratorOptions": _shortcuts(job.deep_cache)} if job.deep_cache else {}),
        **({"passes": _passes(job)} if job.further_passes else {}),
    }
    return {
        "model": entry.air,
        "positivePrompt": job.prompt,
        "negativePrompt": job.negative_prompt,
        "seed": job.seed,
        "steps": job.steps,
        **transformed,
        "scheduler": job.scheduler,
        "CFGScale": job.guidance_scale,
        **said,
        "width": job.width_px,
        "height": job.height_px,
        "executor": finished.executor,
        "version": __version__,
    }


def _weighted(additions: Sequence[Addition]) -> list[dict[str, object]]:
    return [{"model": addition.air, "weight": addition.weight} for addition in additions]


def _shortcuts(cache: DeepCache) -> dict[str, object]:
    return {"deepCache": True, "deepCacheInterval": cache.interval, "deepCacheBranchId": cache.branch}


def _refiner(job: JobRequest, refiner: Refiner) -> dict[str, object]:
    return {"model": refiner.model, "startStep": refiner.steps_before(job.steps) + 1}


def _ip_adapters(job: JobRequest) -> list[dict[str, object]]:
    """Without the pictures themselves, as the seed image is not told either."""
    return [
        {
            "model": prompt.air,
            "weight": prompt.weight,
            "combineMethod": prompt.combination,
            "embedScaling": prompt.scaling,
            "weightType": prompt.weight_type,
            "weightComposition": prompt.weight_composition,
        }
        for prompt in job.image_prompts
    ]


def _passes(job: JobRequest) -> list[dict[str, object]]:
    return [
        {
            "strength": each.strength,
            "effectiveSteps": steps_to_run(each.steps, each.strength),
            "positivePrompt": each.prompt,
            "negativePrompt": each.negative_prompt,
            "steps": each.steps,
            "CFGScale": each.guidance_scale,
            "scheduler": each.scheduler,
        }
        for each in job.passes
    ]
