"""Identifiers that client code uses and whose weights are open: what each is, and where it can be had.

Being in this table does not make a model usable; installing it does. The table lets the server answer a request
for a model that it lacks with the way to get it, and gives an installed model the defaults that its authors
recommend on its model card. Civitai's models are not on the hub, and have the usual defaults of their family
here; those that are not listed are told by their identifier.
"""

from underpaint.catalog.entry import Category, ModelDefaults, ModelEntry

_APACHE = "Apache-2.0"
_FLUX_DEV = "FLUX.1 [dev] Non-Commercial License"
_FLUX_2 = "FLUX Non-Commercial License"
_RAIL = "CreativeML Open RAIL-M"
_RAIL_XL = "CreativeML Open RAIL++-M"


def _checkpoint(
    air: str,
    name: str,
    architecture: str,
    hub_id: str | None,
    license: str | None,
    recommended: tuple[int, int, float],
    good_for: str,
    type: str = "base",
) -> ModelEntry:
    """A checkpoint; `recommended` is the side of the picture in pixels, the steps and the guidance scale."""
    side_px, steps, guidance_scale = recommended
    return ModelEntry(
        air=air,
        name=name,
        version=air.rpartition("@")[2],
        architecture=architecture,
        type=type,
        hub_id=hub_id,
        license=license,
        defaults=ModelDefaults(
            width_px=side_px, height_px=side_px, steps=steps, guidance_scale=guidance_scale
        ),
        good_for=good_for,
    )


def _addition(
    air: str,
    name: str,
    category: Category,
    architecture: str,
    hub_id: str | None,
    conditioning: str | None = None,
    comment: str = "",
) -> ModelEntry:
    return ModelEntry(
        air=air,
        name=name,
        version=air.rpartition("@")[2],
        architecture=architecture,
        category=category,
        conditioning=conditioning,
        hub_id=hub_id,
        comment=comment,
    )


# fmt: off
_CHECKPOINTS = (
    _checkpoint("runware:100@1", "FLUX.1 [schnell]", "flux1s", "black-forest-labs/FLUX.1-schnell", _APACHE,
                (1024, 4, 0.0), "text to image in four steps"),
    _checkpoint("runware:101@1", "FLUX.1 [dev]", "flux1d", "black-forest-labs/FLUX.1-dev", _FLUX_DEV,
                (1024, 50, 3.5), "text to image; image to image at strength 0.8 and more"),
    _checkpoint("runware:102@1", "FLUX.1 Fill [dev]", "flux1d", "black-forest-labs/FLUX.1-Fill-dev",
                _FLUX_DEV, (1024, 50, 30.0), "inpainting and outpainting", "inpainting"),
    _checkpoint("runware:103@1", "FLUX.1 Depth [dev]", "flux1d", "black-forest-labs/FLUX.1-Depth-dev",
                _FLUX_DEV, (1024, 30, 10.0), "pictures from a depth map", "control"),
    _checkpoint("runware:104@1", "FLUX.1 Canny [dev]", "flux1d", "black-forest-labs/FLUX.1-Canny-dev",
                _FLUX_DEV, (1024, 50, 30.0), "pictures from an edge map", "control"),
    _checkpoint("runware:106@1", "FLUX.1 Kontext [dev]", "fluxkontextdev",
                "black-forest-labs/FLUX.1-Kontext-dev", _FLUX_DEV, (1024, 28, 2.5), "editing by instruction"),
    _checkpoint("runware:107@1", "FLUX.1 Krea [dev]", "flux1d", "black-forest-labs/FLUX.1-Krea-dev",
                _FLUX_DEV, (1024, 28, 4.5), "photographic text to image"),
    _checkpoint("runware:111@1", "FLUX.1 [dev] SRPO", "flux1d", "tencent/SRPO", None,
                (1024, 50, 3.5), "photographic text to image"),
    _checkpoint("runware:400@1", "FLUX.2 [dev]", "flux2", "black-forest-labs/FLUX.2-dev", _FLUX_2,
                (1024, 50, 4.0), "text to image, editing with reference images"),
    _checkpoint("runware:400@2", "FLUX.2 [klein] 9B", "flux2", "black-forest-labs/FLUX.2-klein-9B", _FLUX_2,
                (1024, 4, 1.0), "text to image and editing in four steps"),
    _checkpoint("runware:400@3", "FLUX.2 [klein] 9B base", "flux2", "black-forest-labs/FLUX.2-klein-base-9B",
                _FLUX_2, (1024, 50, 4.0), "text to image and editing, training"),
    _checkpoint("runware:400@4", "FLUX.2 [klein] 4B", "flux2", "black-forest-labs/FLUX.2-klein-4B", _APACHE,
                (1024, 4, 1.0), "text to image and editing in four steps"),
    _checkpoint("runware:400@5", "FLUX.2 [klein] 4B base", "flux2", "black-forest-labs/FLUX.2-klein-base-4B",
                _APACHE, (1024, 50, 4.0), "text to image and editing, training"),
    _checkpoint("runware:400@6", "FLUX.2 [klein] 9B KV", "flux2", "black-forest-labs/FLUX.2-klein-9b-kv",
                _FLUX_2, (1024, 4, 1.0), "editing with several reference images in four steps"),
    _checkpoint("runware:5@1", "Stable Diffusion 3", "sd3", "stabilityai/stable-diffusion-3-medium-diffusers",
                "Stability AI Community License", (1024, 28, 7.0), "text to image with legible writing"),
    _checkpoint("runware:108@1", "Qwen-Image", "qwen_image", "Qwen/Qwen-Image", _APACHE,
                (1328, 50, 4.0), "text to image with legible writing, Chinese included"),
    _checkpoint("runware:108@20", "Qwen-Image-Edit", "qwen_image_edit", "Qwen/Qwen-Image-Edit", _APACHE,
                (1024, 50, 4.0), "editing by instruction"),
    _checkpoint("runware:108@22", "Qwen-Image-Edit Plus", "qwen_image_edit", "Qwen/Qwen-Image-Edit-2509",
                _APACHE, (1024, 40, 4.0), "editing by instruction with several reference images"),
    _checkpoint("runware:97@1", "HiDream-I1 full", "hidreamfull", "HiDream-ai/HiDream-I1-Full", "MIT",
                (1024, 50, 5.0), "text to image"),
    _checkpoint("runware:97@2", "HiDream-I1 dev", "hidreamdev", "HiDream-ai/HiDream-I1-Dev", "MIT",
                (1024, 28, 0.0), "text to image in fewer steps"),
    _checkpoint("runware:97@3", "HiDream-I1 fast", "hidreamfast", "HiDream-ai/HiDream-I1-Fast", "MIT",
                (1024, 16, 0.0), "text to image in few steps"),
    _checkpoint("runware:z-image@0", "Z-Image", "z-image", "Tongyi-MAI/Z-Image", _APACHE,
                (1024, 50, 4.0), "text to image"),
    _checkpoint("runware:z-image@turbo", "Z-Image Turbo", "z-image-turbo", "Tongyi-MAI/Z-Image-Turbo",
                _APACHE, (1024, 9, 0.0), "text to image in few steps"),
    _checkpoint("huggingface:stable-diffusion-v1-5@1", "Stable Diffusion 1.5", "sd1x",
                "stable-diffusion-v1-5/stable-diffusion-v1-5", _RAIL,
                (512, 50, 7.5), "text to image and image to image at 512 pixels"),
    _checkpoint("civitai:101055@128078", "SDXL 1.0 base", "sdxl", "stabilityai/stable-diffusion-xl-base-1.0",
                _RAIL_XL, (1024, 40, 5.0), "text to image and image to image at 1024 pixels"),
    _checkpoint("civitai:101055@128080", "SDXL 1.0 refiner", "sdxl",
                "stabilityai/stable-diffusion-xl-refiner-1.0", _RAIL_XL, (1024, 40, 5.0),
                "the last steps of an SDXL picture", "refiner"),
    _checkpoint("civitai:4201@130090", "Realistic Vision", "sd1x", None, None,
                (512, 20, 7.0), "photographic pictures"),
    _checkpoint("civitai:25694@143906", "epiCRealism", "sd1x", None, None,
                (512, 20, 7.0), "photographic pictures"),
    _checkpoint("civitai:139562@297320", "RealVisXL", "sdxl", None, None,
                (1024, 30, 5.0), "photographic pictures"),
    _checkpoint("civitai:139562@344487", "RealVisXL", "sdxl", None, None,
                (1024, 30, 5.0), "photographic pictures"),
    _checkpoint("civitai:133005@782002", "Juggernaut XL", "sdxl", None, None,
                (1024, 30, 5.0), "photographic pictures"),
    _checkpoint("civitai:112902@126688", "DreamShaper XL", "sdxl", None, None,
                (1024, 30, 5.0), "many styles"),
)

_SD_1_5_CONTROLNETS = (
    (44716, "canny", "canny"),
    (44876, "inpaint", "inpaint"),
    (44877, "lineart", "lineart"),
    (44795, "openmlsd", "mlsd"),
    (44774, "normal", "normalbae"),
)
"""Civitai's version, the API's name of the conditioning, and the end of the hub repository's name."""

_FLUX_CONTROLNETS = (
    (25, "canny"), (26, "tile"), (27, "depth"), (28, "blur"),
    (29, "openpose"), (30, "gray"), (31, "lowquality"),
)

_IP_ADAPTERS = (
    (1, "SDXL", "sdxl", "sdxl_models/ip-adapter_sdxl.safetensors"),
    (2, "SDXL Plus", "sdxl", "sdxl_models/ip-adapter-plus_sdxl_vit-h.safetensors"),
    (3, "SDXL Plus Face", "sdxl", "sdxl_models/ip-adapter-plus-face_sdxl_vit-h.safetensors"),
    (4, "SDXL ViT-H", "sdxl", "sdxl_models/ip-adapter_sdxl_vit-h.safetensors"),
    (5, "SD 1.5", "sd1x", "models/ip-adapter_sd15.safetensors"),
    (6, "SD 1.5 Plus", "sd1x", "models/ip-adapter-plus_sd15.safetensors"),
    (7, "SD 1.5 Light", "sd1x", "models/ip-adapter_sd15_light.safetensors"),
    (8, "SD 1.5 Plus Face", "sd1x", "models/ip-adapter-plus-face_sd15.safetensors"),
    (10, "SD 1.5 ViT-G", "sd1x", "models/ip-adapter_sd15_vit-G.safetensors"),
)
# fmt: on

_ADDITIONS = (
    _addition(
        "runware:105@1",
        "FLUX.1 Redux [dev]",
        "ipadapter",
        "flux1d",
        "black-forest-labs/FLUX.1-Redux-dev",
    ),
    _addition("runware:120@2", "LayerDiffuse", "lora", "flux1d", None),
    _addition("runware:120@4", "LayerDiffuse", "vae", "flux1d", None),
    _addition(
        "runware:20@1",
        "ControlNet canny SDXL",
        "controlnet",
        "sdxl",
        "diffusers/controlnet-canny-sdxl-1.0",
        "canny",
    ),
    *(
        _addition(
            f"civitai:38784@{version}",
            f"ControlNet 1.1 {conditioning}",
            "controlnet",
            "sd1x",
            f"lllyasviel/control_v11p_sd15_{hub_suffix}",
            conditioning,
        )
        for version, conditioning, hub_suffix in _SD_1_5_CONTROLNETS
    ),
    *(
        _addition(
            f"runware:{number}@1",
            f"ControlNet {conditioning} FLUX.1 [dev]",
            "controlnet",
            "flux1d",
            "InstantX/FLUX.1-dev-Controlnet-Union",
            conditioning,
            "one repository serves all seven conditionings",
        )
        for number, conditioning in _FLUX_CONTROLNETS
    ),
    *(
        _addition(
            f"runware:55@{number}",
            f"IP-Adapter {name}",
            "ipadapter",
            architecture,
            "h94/IP-Adapter",
            comment=f"the file {file} of the repository",
        )
        for number, name, architecture, file in _IP_ADAPTERS
    ),
)

KNOWN: dict[str, ModelEntry] = {entry.air: entry for entry in (*_CHECKPOINTS, *_ADDITIONS)}
"""Known models by short identifier. None has files: what is here is what somebody installed."""


def known_by_hub_id(hub_id: str) -> ModelEntry | None:
    """The one model that a hub repository holds, or None where the table does not say, or says several."""
    found = [entry for entry in KNOWN.values() if (entry.hub_id or "").lower() == hub_id.lower()]
    return found[0] if len(found) == 1 else None
