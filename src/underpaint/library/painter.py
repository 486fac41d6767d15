"""An engine in this process, and the calls that make pictures with it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

from underpaint.catalog import Catalog
from underpaint.diffusion.strength_curve import StrengthCurve
from underpaint.engine import messages
from underpaint.engine.threads import let_threads_sleep
from underpaint.images import FitMode
from underpaint.library.control import Control
from underpaint.library.guide import Guide, Photo
from underpaint.library.planning import Planner
from underpaint.library.transformed import Progress, Transformed, TransformFailed, transformed
from underpaint.settings import Settings, load_settings
from underpaint.studio.options import engine_options
from underpaint.studio.requests import RUNNABLE_ARCHITECTURES


def transform(
    photo: Photo | None,
    prompt: str,
    *,
    settings: Settings | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **wishes: Any,
) -> list[Transformed]:
    """Transform a photo by a prompt.

    Loads the model anew at each call; for several calls use one `Painter`.

    Args:
        photo: a path, an encoded image, a PIL image, or None to make a picture from the prompt alone.
        prompt: what to make of it.
        settings: by default those of environment and file.
        on_progress: called for every step.
        **wishes: the keyword arguments of `Painter.transform`.

    Returns:
        One picture, or `results` of them.
    """
    with Painter(settings) as painter:
        return painter.transform(photo, prompt, on_progress=on_progress, **wishes)


class Painter:
    """An engine in this process. Use as a context manager; models stay loaded within it. Not thread-safe."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or load_settings().settings
        self.catalog = Catalog(self._settings, runnable=RUNNABLE_ARCHITECTURES)
        """The models that it can be asked for."""
        self._planner = Planner(self._settings, self.catalog)
        self._events: list[messages.Event] = []
        self._engine: Any = None

    def __enter__(self) -> Self:
        # torch is loaded here, not with the module: `import underpaint` stays instant.
        let_threads_sleep()
        from underpaint.engine.engine import Engine

        self._engine = Engine(engine_options(self._settings), emit=self._events.append)
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()
        self._engine = None

    def transform(
        self,
        photo: Photo | None,
        prompt: str,
        *,
        negative_prompt: str = "",
        mask: Photo | None = None,
        mask_margin: int | None = None,
        outpaint: Mapping[str, int] | None = None,
        strength: float | None = None,
        strength_curve: StrengthCurve = "steps",
        color_fix: bool | None = None,
        width: int | None = None,
        height: int | None = None,
        steps: int | None = None,
        guidance_scale: float | None = None,
        scheduler: str | None = None,
        seed: int | None = None,
        results: int = 1,
        model: str | None = None,
        fit: FitMode = "stretch",
        clip_skip: int = 0,
        prompt_weighting: Literal["compel", "sdEmbeds"] | None = None,
        vae: str | None = None,
        loras: Mapping[str, float] | None = None,
        guides: Sequence[Guide] = (),
        references: Sequence[Photo] = (),
        controls: Sequence[Control] = (),
        embeddings: Mapping[str, float] | None = None,
        refiner: str | None = None,
        refiner_start: float = 0.8,
        passes: Sequence[Mapping[str, Any]] = (),
        on_progress: Callable[[Progress], None] | None = None,
    ) -> list[Transformed]:
        """Transform a photo by a prompt.

        Args:
            photo: a path, an encoded image, a PIL image, or None for text-to-image.
            prompt: what to make of it.
            negative_prompt: what to keep away from.
            mask: where the photo is painted anew (white) or kept to the byte (black); gray blends. None for everywhere.
            mask_margin: what the mask paints is worked on with so many pixels around it, 32 to 128, enlarged to the
                whole size; None for the whole picture at once.
            outpaint: how the photo is continued beyond its sides: a mapping that may name `top`, `right`, `bottom` and
                `left` (pixels, multiples of 64) and `blur` (0 to 32 pixels that the new part fades into the old one).
                `width` and `height` are of the whole.
            strength: 0 (the photo as it is) to 1 (the prompt alone); by default the model's.
            strength_curve: what strength is a share of: the steps, or, with FLUX.1 and Stable Diffusion 3, of what
                there is to see ("perceptual"), so that it means about what it means for Stable Diffusion 1.5.
            color_fix: whether the picture gets the photo's colors back in the end, in its large areas; without a mask.
                By default it does after several passes of strengths up to 0.3 in which nothing leads.
            width: pixels, a multiple of 64 from 128 to 2048; by default the photo's shape at the model's best size.
            height: as `width`.
            steps: 1 to 100; of these, the share `strength` runs. By default the model's.
            guidance_scale: 0 to 50, how strictly the prompt is followed; 1 and below turn guidance off.
            scheduler: a name of the API; by default the model's.
            seed: 1 to 2^63 - 1; by default a random one.
            results: how many pictures, with seeds that follow on `seed`.
            model: an AIR identifier; by default that of the settings.
            fit: how a photo of another shape fills the picture.
            clip_skip: layers of the text encoder to leave out, 0 to 2.
            prompt_weighting: syntax of weights within both prompts, such as "(snow:1.5)" (sdEmbeds) or "snow++"
                (compel).
            vae: AIR identifier of a VAE in place of the model's own.
            loras: weights, -4 to 4, of LoRAs by their AIR identifiers, which act together upon the model.
            guides: pictures that lead the result beside the prompt, by up to 8 IP-Adapters; with FLUX.1 Redux in place
                of it.
            references: photos that an editing model, such as FLUX.1 Kontext, works after; without `photo` the picture
                has by default the shape of the first.
            controls: maps that the result is laid out by, and up to 8 ControlNets that read them.
            embeddings: weights, -4 to 4, of textual inversions by their AIR identifiers. Each acts where its word (its
                trigger word, else the one in its file, else its name) stands in a prompt.
            refiner: AIR identifier of a refiner, which takes the last steps over from an SDXL model; not with `passes`.
            refiner_start: share of the steps before the refiner's, 0.01 to 0.99.
            passes: up to 20 passes, each from the latents that the one before left. Each is a mapping that may name
                `strength`, `prompt`, `negative_prompt`, `steps`, `guidance_scale` and `scheduler`; what it leaves out
                is the call's own. None for a single pass.
            on_progress: called for every step.

        Raises:
            ValueError: an argument is out of its range, or the photo is no acceptable picture.
            LookupError: the model is unknown, not installed or not runnable.
            TransformFailed: the engine could not make the picture.
        """
        wishes = {name: value for name, value in locals().items() if name not in ("self", "on_progress")}
        return self.transform_many([wishes], on_progress=on_progress)[0]

    def transform_many(
        self,
        requests: Sequence[Mapping[str, Any]],
        *,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> list[list[Transformed]]:
        """Several transformations at once, which share forward passes where their sizes and models allow it.

        Args:
            requests: the arguments of `transform`, each as a mapping with at least `photo` and `prompt`.
            on_progress: called for every step of every picture.

        Returns:
            For each request what `transform` gives. Raises what it raises, and then makes none of them.
        """
        if self._engine is None:
            raise RuntimeError("use the Painter as a context manager: with Painter() as painter: ...")
        planned = [self._planner.plan(**request) for request in requests]
        jobs = [job for _, jobs in planned for job in jobs]
        finished = self._run(jobs, on_progress or (lambda _: None))
        embed = self._settings.embed_parameters
        return [
            [transformed(job, entry, finished[job.job_id], embed_parameters=embed) for job in jobs]
            for entry, jobs in planned
        ]

    def _run(
        self, jobs: Sequence[messages.JobRequest], on_progress: Callable[[Progress], None]
    ) -> dict[str, messages.Finished]:
        position = {job.job_id: index for index, job in enumerate(jobs)}
        finished: dict[str, messages.Finished] = {}
        self._events.clear()
        try:
            self._engine.submit(jobs)
            while True:
                for event in self._events:
                    match event:
                        case messages.Progress():
                            on_progress(
                                Progress(
                                    result=position[event.job_id],
                                    step=event.step,
                                    steps=event.steps,
                                    stage=event.stage,
                                )
                            )
                        case messages.Finished():
                            finished[event.job_id] = event
                            on_progress(
                                Progress(
                                    result=position[event.job_id],
                                    step=event.steps_run,
                                    steps=event.steps_run,
                                    stage="done",
                                )
                            )
                        case messages.Failed():
                            raise TransformFailed(event.message)
                self._events.clear()
                if not self._engine.busy:
                    return finished
                self._engine.tick()
        finally:
            # After an error or an interrupt nothing of this call is left for the next one.
            self._engine.cancel([job.job_id for job in jobs])
