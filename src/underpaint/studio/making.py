"""What a picture says about its own making, in the words of the API."""

from collections.abc import Sequence

from underpaint.catalog import ModelEntry
from underpaint.diffusion.strength import steps_to_run
from underpaint.engine.messages import Addition, DeepCache, Finished, JobRequest, Pass, Refiner
from underpaint.studio.wordless import asks_for_no_colors
from underpaint.version import __version__


def picture_parameters(job: JobRequest, entry: ModelEntry, finished: Finished) -> dict[str, object]:
    """The parameters that make the picture again, with Underpaint's version."""
    transformed = (
        {}
        if job.picture is None
        else {"strength": _asked(job.passes[0]), "effectiveSteps": finished.steps_run}
    )
    said = {
        **({"strengthCurve": "perceptual"} if job.asked_strength is not None else {}),
        **({"colorFix": job.color_fix} if job.color_fix or asks_for_no_colors(job) else {}),
        **({"clipSkip": job.clip_skip} if job.clip_skip else {}),
        **({"promptWeighting": job.prompt_weighting} if job.prompt_weighting else {}),
        **({"maskMargin": job.mask_margin_px} if job.mask_margin_px else {}),
        **({"refiner": _refiner(job.refiner)} if job.refiner else {}),
        **({"vae": job.vae.air} if job.vae else {}),
        **({"lora": _weighted(job.loras)} if job.loras else {}),
        **({"embeddings": _weighted(job.embeddings)} if job.embeddings else {}),
        **({"ipAdapters": _ip_adapters(job)} if job.image_prompts else {}),
        # How many; the pictures themselves are not told, nor is the seed image.
        **({"referenceImages": len(job.reference_pictures)} if job.reference_pictures else {}),
        **({"controlNet": _controls(job)} if job.controls else {}),
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
        "precision": finished.precision,
        "version": __version__,
    }


def _weighted(additions: Sequence[Addition]) -> list[dict[str, object]]:
    return [{"model": addition.air, "weight": addition.weight} for addition in additions]


def _shortcuts(cache: DeepCache) -> dict[str, object]:
    return {"deepCache": True, "deepCacheInterval": cache.interval, "deepCacheBranchId": cache.branch}


def _refiner(refiner: Refiner) -> dict[str, object]:
    return {"model": refiner.model.name, "startStep": refiner.start_step + 1}


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


def _controls(job: JobRequest) -> list[dict[str, object]]:
    """Likewise. When one acts is said as a percentage where that is a whole number, else by steps."""
    return [
        {
            "model": control.air,
            "weight": control.weight,
            **(_share("startStep", control.start, job.steps, first=1) if control.start > 0 else {}),
            **(_share("endStep", control.end, job.steps, first=0) if control.end < 1 else {}),
            "controlMode": control.mode,
        }
        for control in job.controls
    ]


def _share(name: str, share: float, steps: int, *, first: int) -> dict[str, int]:
    percentage = round(100 * share)
    if percentage / 100 == share:
        return {f"{name}Percentage": percentage}
    return {name: round(share * steps) + first}


def _asked(one: Pass) -> float:
    return one.strength if one.asked_strength is None else one.asked_strength


def _passes(job: JobRequest) -> list[dict[str, object]]:
    return [
        {
            "strength": _asked(each),
            "effectiveSteps": steps_to_run(each.steps, each.strength),
            "positivePrompt": each.prompt,
            "negativePrompt": each.negative_prompt,
            "steps": each.steps,
            "CFGScale": each.guidance_scale,
            "scheduler": each.scheduler,
        }
        for each in job.passes
    ]
