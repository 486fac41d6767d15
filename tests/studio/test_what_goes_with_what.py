"""What each kind of checkpoint takes of imageInference, and what it refuses, by which code: a row for a parameter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.test_additions import lora_shapes
from tests.catalog.test_controlnets import controlnet_shapes
from tests.catalog.test_image_encoders import adapter_shapes, write_encoder_folder
from tests.catalog.weights import write_safetensors
from tests.redux import ENCODER_WIDTH, write_redux_file
from tests.studio.conftest import Workplace, encoded, error_of, half_white, item_of, transformation
from underpaint.catalog import ModelEntry, ModelFiles
from underpaint.catalog.installed import InstalledModels
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.studio.requests import RUNNABLE_ARCHITECTURES

CHECKPOINTS: Mapping[str, tuple[str, str]] = {
    "sd1": ("sd1x", "base"),
    "sd1 inpainting": ("sd1x", "inpainting"),
    "sd2": ("sd2x", "base"),
    "sdxl": ("sdxl", "base"),
    "sdxl inpainting": ("sdxl", "inpainting"),
    "dev": ("flux1d", "base"),
    "schnell": ("flux1s", "base"),
    "fill": ("flux1d", "inpainting"),
    "canny": ("flux1d", "control"),
    "kontext": ("fluxkontextdev", "base"),
    "sd3": ("sd3", "base"),
}
"""Architecture and type."""
ALL = frozenset(CHECKPOINTS)
UNETS = frozenset({"sd1", "sd1 inpainting", "sd2", "sdxl", "sdxl inpainting"})
SDXL = frozenset({"sdxl", "sdxl inpainting"})
FLUX = frozenset({"dev", "schnell", "fill", "canny", "kontext"})
TOOLS = frozenset({"fill", "canny"})
FLOWS = FLUX | {"sd3"}


FLUX_LORA = {f"lora_unet_double_blocks_0_img_attn_qkv.lora_{part}.weight": (4, 4) for part in ("down", "up")}


def air_of(checkpoint: str) -> str:
    return f"test:{list(CHECKPOINTS).index(checkpoint)}@1"


def made_for(category: str, checkpoint: str) -> str:
    """What acts upon the checkpoint: one of its architecture; SDXL's where there is none for that."""
    return f"{category}:{CHECKPOINTS[checkpoint][0]}@1"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A parameter, and who takes it."""

    parameter: str
    asked: Callable[[str], dict[str, Any]]
    """By checkpoint, what is added to a plain task, in which a checkpoint has what it cannot do without."""
    taken_by: frozenset[str]
    refused_with: str = ""
    refused_otherwise: Mapping[str, str] = field(default_factory=dict)
    """By checkpoint, another code."""
    about: str | list[str] = ""
    """What the error is about."""
    reaches: Callable[[Any, str], bool] = lambda job, checkpoint: True
    """Whether it has reached the job, for those who take it."""


def always(**asked: Any) -> Callable[[str], dict[str, Any]]:
    return lambda checkpoint: asked


WISHES = (
    Wish(
        parameter="positivePrompt",
        asked=always(positivePrompt="__BLANK__"),
        taken_by=ALL,
        reaches=lambda job, _: job.prompt == "",
    ),
    Wish(
        parameter="negativePrompt",
        asked=always(negativePrompt="people"),
        taken_by=ALL,
        reaches=lambda job, _: job.negative_prompt == "people",
    ),
    Wish(
        parameter="seedImage",
        asked=always(seedImage=...),
        taken_by=ALL - TOOLS,
        refused_with="missingSeedImage",
        about="seedImage",
        reaches=lambda job, _: job.picture is None,
    ),
    Wish(
        parameter="strength",
        asked=always(strength=0.3),
        taken_by=ALL,
        # Of no effect on the tools.
        reaches=lambda job, checkpoint: job.strength == (1.0 if checkpoint in TOOLS else 0.3),
    ),
    Wish(
        parameter="strengthCurve",
        asked=always(strengthCurve="perceptual"),
        taken_by=FLOWS - TOOLS,
        refused_with="incompatibleParameters",
        about=["strengthCurve", "model"],
    ),
    Wish(
        parameter="maskImage",
        asked=always(maskImage=half_white((128, 128))),
        taken_by=ALL - {"canny"},
        refused_with="incompatibleParameters",
        about=["maskImage", "model"],
        reaches=lambda job, _: job.mask is not None,
    ),
    Wish(
        parameter="maskMargin",
        asked=always(maskImage=half_white((128, 128)), maskMargin=32),
        taken_by=ALL - TOOLS,
        refused_with="incompatibleParameters",
        reaches=lambda job, _: job.mask_margin_px == 32,
    ),
    Wish(
        parameter="outpaint",
        asked=always(
            maskImage=..., outpaint={"right": 64}, width=192, height=128, seedImage=encoded((128, 128))
        ),
        taken_by=ALL - {"canny"},
        refused_with="incompatibleParameters",
        reaches=lambda job, _: (job.width_px, job.mask is not None) == (192, True),
    ),
    Wish(
        parameter="passes",
        asked=always(passes=[{}, {"strength": 0.3}]),
        taken_by=ALL - TOOLS,
        refused_with="incompatibleParameters",
        about=["passes", "model"],
        reaches=lambda job, _: len(job.passes) == 2,
    ),
    Wish(
        parameter="CFGScale 0",
        asked=always(CFGScale=0),
        taken_by=ALL,
        reaches=lambda job, _: job.guidance_scale == 0,
    ),
    Wish(
        parameter="CFGScale 50",
        asked=always(CFGScale=50),
        taken_by=ALL,
        reaches=lambda job, _: job.guidance_scale == 50,
    ),
    Wish(
        parameter="steps",
        asked=always(steps=100),
        taken_by=ALL,
        reaches=lambda job, _: job.steps == 100,
    ),
    Wish(
        parameter="scheduler of UNets",
        asked=always(scheduler="DDIM"),
        taken_by=UNETS,
        refused_with="invalidScheduler",
        about="scheduler",
        reaches=lambda job, _: job.scheduler == "DDIM",
    ),
    Wish(
        parameter="scheduler of flows",
        asked=always(scheduler="FlowMatchEulerDiscreteScheduler"),
        taken_by=FLOWS,
        refused_with="invalidScheduler",
        about="scheduler",
    ),
    Wish(
        parameter="scheduler of all",
        asked=always(scheduler="DPM++ 2M Karras"),
        taken_by=ALL,
        reaches=lambda job, _: job.scheduler == "DPM++ 2M Karras",
    ),
    Wish(
        parameter="clipSkip",
        asked=always(clipSkip=2),
        taken_by=ALL - FLUX,
        refused_with="invalidClipSkip",
        about="clipSkip",
        reaches=lambda job, _: job.clip_skip == 2,
    ),
    Wish(
        parameter="promptWeighting compel",
        asked=always(promptWeighting="compel"),
        taken_by=UNETS,
        refused_with="invalidPromptWeighting",
        about="promptWeighting",
    ),
    Wish(
        parameter="promptWeighting sdEmbeds",
        asked=always(promptWeighting="sdEmbeds"),
        taken_by=ALL,
        reaches=lambda job, _: job.prompt_weighting == "sdEmbeds",
    ),
    Wish(
        parameter="acceleration",
        asked=always(acceleration="high"),
        taken_by=UNETS,
        refused_with="incompatibleParameters",
        about=["acceleration", "model"],
    ),
    Wish(
        parameter="acceleratorOptions",
        asked=always(acceleratorOptions={"deepCache": True}),
        taken_by=UNETS,
        refused_with="incompatibleParameters",
        about=["acceleratorOptions.deepCache", "model"],
    ),
    Wish(
        parameter="refiner",
        asked=always(refiner={"model": "civitai:101055@128080", "startStep": 8}),
        taken_by=SDXL,
        refused_with="incompatibleParameters",
        about=["refiner", "model"],
        reaches=lambda job, _: job.refiner.start_step == 7,
    ),
    Wish(
        parameter="vae",
        asked=lambda checkpoint: {"vae": made_for("vae", checkpoint)},
        taken_by=ALL,
        reaches=lambda job, _: job.vae is not None,
    ),
    Wish(
        parameter="lora",
        asked=lambda checkpoint: {"lora": [{"model": made_for("lora", checkpoint), "weight": -4}]},
        taken_by=ALL - {"sd3"},
        refused_with="unsupportedParameter",
        about="lora",
        reaches=lambda job, _: job.loras[0].weight == -4,
    ),
    Wish(
        parameter="embeddings",
        asked=lambda checkpoint: {
            "embeddings": [{"model": made_for("embeddings", checkpoint)}],
            "positivePrompt": "a toy",
        },
        taken_by=UNETS,
        refused_with="unsupportedParameter",
        about="embeddings",
        reaches=lambda job, _: job.embeddings[0].triggers == ("toy",),
    ),
    Wish(
        parameter="ipAdapters",
        asked=lambda checkpoint: {
            "ipAdapters": [{"model": made_for("ipadapter", checkpoint), "guideImage": encoded()}]
        },
        taken_by=ALL - {"sd3"},
        refused_with="unsupportedParameter",
        about="ipAdapters",
        reaches=lambda job, _: len(job.image_prompts) == 1,
    ),
    Wish(
        parameter="controlNet",
        asked=lambda checkpoint: {
            "controlNet": [{"model": made_for("controlnet", checkpoint), "guideImage": encoded()}]
        },
        taken_by=UNETS,
        refused_with="unsupportedParameter",
        about="controlNet",
        reaches=lambda job, _: len(job.controls) == 1,
    ),
    Wish(
        parameter="referenceImages",
        asked=always(referenceImages=[encoded()]),
        taken_by=frozenset({"kontext"}),
        refused_with="incompatibleParameters",
        reaches=lambda job, _: len(job.reference_pictures) == 1,
    ),
    Wish(
        parameter="a LoRA of another family",
        asked=lambda checkpoint: {
            "lora": [
                {"model": "lora:sd1x@1" if checkpoint not in ("sd1", "sd1 inpainting") else "lora:sdxl@1"}
            ]
        },
        taken_by=frozenset(),
        refused_with="invalidLoraModel",
        refused_otherwise={"sd3": "unsupportedParameter"},
    ),
    Wish(
        parameter="a VAE of another family",
        asked=lambda checkpoint: {
            "vae": "vae:sd1x@1" if checkpoint not in ("sd1", "sd1 inpainting") else "vae:sdxl@1"
        },
        taken_by=frozenset(),
        refused_with="invalidVae",
        about="vae",
    ),
)


@pytest.fixture
def library(workplace: Workplace, tmp_path: Path) -> Workplace:
    """Every kind of checkpoint, and what can act upon each: nothing of it is ever loaded here."""
    installed = InstalledModels(workplace.settings.data_dir)
    (tmp_path / "folder").mkdir()

    def add(air: str, category: Any, architecture: str, file: Path | None, kind: str = "base") -> None:
        form: Any = "folder" if file is None else "file"
        installed.add(
            ModelEntry(
                air=air,
                name="toy" if category == "embeddings" else air,
                version="1",
                architecture=architecture,
                category=category,
                type=kind,
                files=ModelFiles(form=form, location=str(file or tmp_path / "folder")),
            )
        )

    for name, (architecture, kind) in CHECKPOINTS.items():
        add(air_of(name), "checkpoint", architecture, None, kind)
    add("civitai:101055@128080", "checkpoint", "sdxl", None, "refiner")
    widths = {"sd1x": 768, "sd2x": 1024, "sdxl": 2048}
    write_encoder_folder(tmp_path / "image_encoder")
    write_encoder_folder(tmp_path / "redux" / "image_encoder", layer_width=ENCODER_WIDTH)
    redux = write_redux_file(tmp_path / "redux" / "redux.safetensors")
    autoencoder = {"encoder.conv_in.weight": (2, 2), "decoder.conv_in.weight": (2, 2)}
    for architecture in dict.fromkeys(architecture for architecture, _ in CHECKPOINTS.values()):
        width = widths.get(architecture, 2048)
        flux = architecture.startswith("flux")
        of_category = {
            "lora": FLUX_LORA if flux else lora_shapes(architecture if architecture in widths else "sdxl"),
            "vae": autoencoder,
            "embeddings": {"emb_params": (1, width)},
            "controlnet": controlnet_shapes(),
            "ipadapter": adapter_shapes(architecture="sdxl" if width == 2048 else "sd1x"),
        }
        for category, shapes in of_category.items():
            file = tmp_path / f"{category}-{architecture}.safetensors"
            add(
                f"{category}:{architecture}@1",
                category,
                architecture,
                redux if flux and category == "ipadapter" else write_safetensors(file, shapes),
            )
    return workplace


def test_every_architecture_and_type_is_here() -> None:
    """As far as families differ; the refiner, which only takes over from others, has tests of its own."""
    kinds = {
        (FAMILY_OF_ARCHITECTURE[architecture].title, kind) for architecture, kind in CHECKPOINTS.values()
    }
    runs = {
        (FAMILY_OF_ARCHITECTURE[architecture].title, kind)
        for architecture, types in RUNNABLE_ARCHITECTURES.items()
        for kind in types
    }
    assert runs - kinds == {("SDXL", "refiner")}


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: wish.parameter)
async def test_a_parameter_is_taken_or_refused(library: Workplace, wish: Wish) -> None:
    for checkpoint in CHECKPOINTS:
        needed = {"maskImage": half_white((128, 128))} if checkpoint == "fill" else {}
        task = transformation(
            **{"model": air_of(checkpoint), "width": 128, "height": 128, **needed, **wish.asked(checkpoint)}
        )
        before = len(library.engine.jobs)
        reply = await library.perform(task)
        if checkpoint in wish.taken_by:
            item_of(reply)
            assert wish.reaches(library.engine.jobs[-1], checkpoint), checkpoint
            continue
        error = error_of(reply)
        code = wish.refused_otherwise.get(checkpoint, wish.refused_with)
        assert error["code"] == code, (checkpoint, error)
        assert not wish.about or error["parameter"] == wish.about, (checkpoint, error)
        assert len(library.engine.jobs) == before
        if error["code"] == "invalidScheduler":
            family = FAMILY_OF_ARCHITECTURE[CHECKPOINTS[checkpoint][0]]
            assert set(error["allowedValues"]) == set(family.schedulers)


async def test_a_refiner_alone_is_refused(library: Workplace) -> None:
    error = error_of(await library.perform(transformation(model="civitai:101055@128080")))
    assert (error["code"], error["parameter"]) == ("invalidModel", "model")
