"""Every parameter of imageInference: what is accepted, what is refused, and the one error that says so."""

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from underpaint.wire import (
    SCHEDULER_NAMES,
    ImageInferenceTask,
    IPAdapter,
    Outpaint,
    Pass,
    TaskError,
    WeightedModel,
    find_error_code,
    parse_task,
)
from underpaint.wire.parameters import IGNORED_PARAMETERS, UNSUPPORTED_INPUTS, UNSUPPORTED_PARAMETERS

TASK_UUID = "b8c4d952-7f27-4a6e-bc9a-83f01d1c6d59"
MINIMAL: dict[str, object] = {
    "taskType": "imageInference",
    "taskUUID": TASK_UUID,
    "model": "runware:101@1",
    "positivePrompt": "A wide desert",
    "width": 512,
    "height": 768,
}


def inference(**parameters: object) -> ImageInferenceTask:
    task = parse_task(MINIMAL | parameters)
    assert isinstance(task, ImageInferenceTask)
    return task


def refusal(raw: dict[str, object]) -> dict[str, object]:
    with pytest.raises(TaskError) as caught:
        parse_task(raw)
    assert find_error_code(caught.value.code) is not None
    assert caught.value.status_code == 400
    return caught.value.item(task_uuid=None, task_type=None)


PROMPT = (
    "A wide desert with soft sand dunes, dry air, and scattered cacti under a clear blue sky, "
    "watercolor painting style"
)


def test_the_request_of_the_guide() -> None:
    task = parse_task(
        {
            "taskType": "imageInference",
            "taskUUID": "b8c4d952-7f27-4a6e-bc9a-83f01d1c6d59",
            "model": "runware:101@1",
            "positivePrompt": PROMPT,
            "seedImage": "c64351d5-4c59-42f7-95e1-eace013eddab",
            "strength": 0.9,
            "width": 1024,
            "height": 1024,
            "steps": 30,
        }
    )
    assert task == ImageInferenceTask(
        task_uuid="b8c4d952-7f27-4a6e-bc9a-83f01d1c6d59",
        model="runware:101@1",
        positive_prompt=PROMPT,
        seed_image="c64351d5-4c59-42f7-95e1-eace013eddab",
        strength=0.9,
        width=1024,
        height=1024,
        steps=30,
    )


def test_what_is_left_out_has_the_documented_default() -> None:
    assert inference().model_dump() == {
        "task_uuid": TASK_UUID,
        "task_type": "imageInference",
        "delivery_method": "sync",
        "webhook_url": None,
        "upload_endpoint": None,
        "include_cost": False,
        "output_type": ("URL",),
        "output_format": "JPG",
        "output_quality": 95,
        "ttl_s": None,
        "model": "runware:101@1",
        "positive_prompt": "A wide desert",
        "negative_prompt": "",
        "seed_image": None,
        "mask_image": None,
        "mask_margin": None,
        "outpaint": None,
        "strength": 0.8,
        "strength_curve": "steps",
        "color_fix": None,
        "width": 512,
        "height": 768,
        "steps": None,
        "scheduler": None,
        "seed": None,
        "cfg_scale": None,
        "clip_skip": 0,
        "prompt_weighting": None,
        "refiner": None,
        "vae": None,
        "lora": (),
        "embeddings": (),
        "ip_adapters": (),
        "reference_images": (),
        "control_net": (),
        "acceleration": "none",
        "accelerator_options": None,
        "number_results": 1,
        "check_nsfw": False,
        "fit": "stretch",
        "passes": (),
        "progress": False,
        "previews": False,
    }


GUIDED: dict[str, object] = {"model": "runware:55@5", "guideImage": "x"}


ACCEPTED: list[tuple[str, object, str, object]] = [
    ("model", "civitai:101055@128078", "model", "civitai:101055@128078"),
    ("model", "urn:air:sdxl:checkpoint:civitai:101055@128078", "model", "civitai:101055@128078"),
    ("positivePrompt", "x", "positive_prompt", "x"),
    ("positivePrompt", "x" * 3000, "positive_prompt", "x" * 3000),
    ("positivePrompt", "  a cat\n", "positive_prompt", "a cat"),
    ("positivePrompt", "__BLANK__", "positive_prompt", ""),
    ("negativePrompt", "", "negative_prompt", ""),
    ("negativePrompt", "x" * 3000, "negative_prompt", "x" * 3000),
    ("negativePrompt", "__BLANK__", "negative_prompt", ""),
    ("seedImage", "https://example.com/a.png", "seed_image", "https://example.com/a.png"),
    ("outpaint", {"top": 0, "right": 0, "bottom": 0, "left": 0, "blur": 0}, "outpaint", None),
    ("outpaint", {}, "outpaint", None),
    ("outpaint", [], "outpaint", None),
    ("vae", "urn:air:sd1:vae:civitai:276082@311162", "vae", "civitai:276082@311162"),
    ("vae", "", "vae", None),
    ("strength", 0, "strength", 0.0),
    ("strength", 1, "strength", 1.0),
    ("strength", 0.35, "strength", 0.35),
    ("width", 128, "width", 128),
    ("width", 2048, "width", 2048),
    ("height", 128, "height", 128),
    ("height", 2048, "height", 2048),
    ("height", 640.0, "height", 640),
    ("steps", 1, "steps", 1),
    ("steps", 100, "steps", 100),
    ("steps", 30.0, "steps", 30),
    ("seed", 1, "seed", 1),
    ("seed", 2**63 - 1, "seed", 2**63 - 1),
    ("CFGScale", 0, "cfg_scale", 0.0),
    ("CFGScale", 50, "cfg_scale", 50.0),
    ("CFGScale", 7.5, "cfg_scale", 7.5),
    ("clipSkip", 0, "clip_skip", 0),
    ("clipSkip", 2, "clip_skip", 2),
    ("promptWeighting", "", "prompt_weighting", None),
    ("promptWeighting", "COMPEL", "prompt_weighting", "compel"),
    ("promptWeighting", "sdembeds", "prompt_weighting", "sdEmbeds"),
    ("numberResults", 1, "number_results", 1),
    ("numberResults", 20, "number_results", 20),
    ("outputType", "URL", "output_type", ("URL",)),
    ("outputType", "base64data", "output_type", ("base64Data",)),
    ("outputType", "dataURI", "output_type", ("dataURI",)),
    ("outputType", ["dataURI", "url", "URL"], "output_type", ("dataURI", "URL")),
    ("outputType", [], "output_type", ("URL",)),
    ("outputFormat", "png", "output_format", "PNG"),
    ("outputFormat", "WEBP", "output_format", "WEBP"),
    ("outputFormat", "jpg", "output_format", "JPG"),
    ("outputFormat", "jpeg", "output_format", "JPG"),
    ("outputQuality", 20, "output_quality", 20),
    ("outputQuality", 99, "output_quality", 99),
    ("includeCost", True, "include_cost", True),
    ("ttl", 60, "ttl_s", 60),
    ("ttl", 2**31 - 1, "ttl_s", 2**31 - 1),
    ("deliveryMethod", "async", "delivery_method", "async"),
    ("checkNSFW", True, "check_nsfw", True),
    ("safety", {"checkContent": True}, "check_nsfw", True),
    ("safety", {"mode": "fast"}, "check_nsfw", True),
    ("safety", {"mode": "none", "checkContent": True}, "check_nsfw", False),
    ("safety", {"mode": None, "checkContent": None, "tolerance": False}, "check_nsfw", False),
    ("fit", "cover", "fit", "cover"),
    ("fit", "contain", "fit", "contain"),
    ("inputs", {"seedImage": "c64351d5", "mask": None}, "seed_image", "c64351d5"),
    ("colorFix", False, "color_fix", False),
    ("passes", [], "passes", ()),
    ("passes", [{}], "passes", (Pass(),)),
    ("passes", [{"strength": 0, "steps": None}], "passes", (Pass(strength=0.0),)),
    ("passes", [{"positivePrompt": "__BLANK__"}] * 20, "passes", (Pass(positive_prompt="__BLANK__"),) * 20),
    (
        "passes",
        [{"strength": 1}, {"negativePrompt": " fog", "steps": 30.0, "CFGScale": 5, "scheduler": "Euler a"}],
        "passes",
        (Pass(strength=1.0), Pass(negative_prompt="fog", steps=30, cfg_scale=5.0, scheduler="Euler a")),
    ),
]


@pytest.mark.parametrize(("parameter", "value", "attribute", "expected"), ACCEPTED)
def test_a_value_is_accepted(parameter: str, value: object, attribute: str, expected: object) -> None:
    read = getattr(inference(**{parameter: value}), attribute)
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_every_scheduler_name_is_accepted(name: str) -> None:
    assert inference(scheduler=name).scheduler == name


WHOLE = [True, "30", 30.5, [30], {}, float("nan"), float("inf"), 10**400, -(10**400)]
REAL = [True, "0.5", [0.5], {}, float("nan"), float("inf"), 10**400, -(10**400)]
TEXT = [7, True, 0.5, ["x"], {"x": "y"}, "\ud800"]
FLAG = [0, 1, "true", [], {}]

REFUSED: list[tuple[str, str, list[Any]]] = [
    ("taskUUID", "string", ["", "x" * 65, "not a uuid", "a\n", 7, ["x"]]),
    ("webhookURL", "string", ["x", "ftp://example.com/", "http://" + "x" * 2048, *TEXT]),
    ("uploadEndpoint", "string", ["x", "file:///etc/passwd", "http://" + "x" * 2048, *TEXT]),
    ("model", "string", ["", "flux", "runware:101", "101", *TEXT]),
    ("positivePrompt", "string", ["", " \n", "x" * 3001, *TEXT]),
    ("negativePrompt", "string", ["x" * 3001, *TEXT]),
    ("seedImage", "string", ["", *TEXT]),
    ("maskImage", "string", ["", *TEXT[:-1]]),
    ("maskMargin", "integer", [0, 31, 129, *WHOLE]),
    ("outpaint", "object", ["x", 7, True, ["x"]]),
    ("strength", "float", [-0.01, 1.01, *REAL]),
    ("strengthCurve", "string", ["", "linear", *TEXT]),
    ("colorFix", "boolean", FLAG),
    ("width", "integer", [0, -128, 64, 127, 129, 500, 2049, 2112, *WHOLE]),
    ("height", "integer", [0, -128, 64, 127, 129, 500, 2049, 2112, *WHOLE]),
    ("steps", "integer", [0, -1, 101, *WHOLE]),
    ("scheduler", "string", ["", "Euler b", "x" * 1000, *TEXT]),
    ("seed", "integer", [0, -1, 2**63, *WHOLE]),
    ("CFGScale", "float", [-0.1, 50.1, *REAL]),
    ("clipSkip", "integer", [-1, 3, *WHOLE]),
    ("promptWeighting", "string", ["a1111", *TEXT]),
    ("refiner", "object", ["x", 1, True, ["x"]]),
    ("vae", "string", ["vae", "runware:101", *TEXT]),
    ("lora", "object[]", ["x", 1, True, {"model": "civitai:1@1"}, [{"model": "civitai:1@1"}] * 21]),
    ("embeddings", "object[]", ["x", 1, True, {"model": "civitai:1@1"}, [{"model": "civitai:1@1"}] * 21]),
    (
        "ipAdapters",
        "object[]",
        ["x", 1, True, GUIDED, [GUIDED] * 9],
    ),
    ("referenceImages", "string[]", ["x", 1, True, ["x"] * 17, ["x", None], [7], [["x"]]]),
    ("controlNet", "object[]", ["x", 1, True, GUIDED, [GUIDED] * 9]),
    ("numberResults", "integer", [0, -1, 21, *WHOLE]),
    ("outputType", "string|string[]", ["", "png", ["URL", "png"], [["URL"]], [None], *TEXT]),
    ("outputFormat", "string", ["", "gif", *TEXT]),
    ("outputQuality", "integer", [19, 100, *WHOLE]),
    ("includeCost", "boolean", FLAG),
    ("ttl", "integer", [59, 0, -1, 2**31, *WHOLE]),
    ("deliveryMethod", "string", ["", "stream", "SYNC", *TEXT]),
    ("checkNSFW", "boolean", FLAG),
    ("fit", "string", ["", "fill", *TEXT]),
    ("passes", "object[]", ["x", 1, True, {"strength": 0.5}, [{}] * 21]),
    ("progress", "boolean", [1, "true", [True]]),
    ("previews", "boolean", [0, "", {}]),
    ("acceleration", "string", ["turbo", 1, ["low"]]),
    ("inputs", "object", ["x", 1, True, ["x"]]),
    ("safety", "object", ["x", 1, True, ["x"]]),
    ("acceleratorOptions", "object", ["x", 1, True, ["x"]]),
]


@pytest.mark.parametrize(
    ("parameter", "type_name", "value"),
    [(parameter, type_name, value) for parameter, type_name, values in REFUSED for value in values],
)
def test_a_value_is_refused_with_the_parameters_name_and_type(
    parameter: str, type_name: str, value: object
) -> None:
    error = refusal(MINIMAL | {parameter: value})
    assert error["code"] == "invalid" + parameter[0].upper() + parameter[1:]
    assert error["parameter"] == parameter
    assert error["type"] == type_name
    assert str(error["message"]).startswith(f"'{parameter}' must be ")
    assert len(str(error["message"])) < 300


def test_every_parameter_has_its_range_checked() -> None:
    assert set(ImageInferenceTask.wire_names()) <= {parameter for parameter, _, _ in REFUSED} | {"taskType"}


SIDES = [-64, 1, 63, 65, 2048, *WHOLE]


@pytest.mark.parametrize(
    ("member", "value"),
    [(side, value) for side in ("top", "right", "bottom", "left") for value in SIDES]
    + [("blur", value) for value in (-1, 33, *WHOLE)],
)
def test_a_member_of_outpaint_is_refused_with_its_name(member: str, value: object) -> None:
    given = {"top": 64, "right": 64, member: value}
    error = refusal(MINIMAL | {"seedImage": "a", "outpaint": given})
    assert error["code"] == "invalidOutpaint" + member.capitalize()
    assert error["parameter"] == f"outpaint.{member}"
    assert error["type"] == "integer"


def test_a_picture_can_be_continued() -> None:
    task = inference(seedImage="a", outpaint={"top": 64, "left": 128.0, "right": None, "blur": 32})
    assert task.outpaint == Outpaint(top=64, left=128, blur=32)


def test_a_margin_goes_with_a_mask() -> None:
    assert inference(seedImage="a", maskImage="b", maskMargin=32).mask_margin == 32
    assert inference(seedImage="a", inputs={"mask": "b"}, maskMargin=128.0).mask_margin == 128


ADDITION = {"model": "civitai:82098@87153"}
ADDITION_REFUSED: list[tuple[str, str, list[Any]]] = [
    ("model", "string", ["", "flux", "runware:101", *TEXT]),
    ("weight", "float", [-4.01, 4.01, *REAL]),
]


@pytest.mark.parametrize(
    ("parameter", "type_name", "value"),
    [(parameter, type_name, value) for parameter, type_name, values in ADDITION_REFUSED for value in values],
)
@pytest.mark.parametrize("name", ["lora", "embeddings"])
def test_a_value_of_an_addition_is_refused_with_its_place(
    name: str, parameter: str, type_name: str, value: object
) -> None:
    error = refusal(MINIMAL | {name: [ADDITION, {**ADDITION, parameter: value}]})
    assert error["code"] == "invalid" + name[0].upper() + name[1:] + parameter[0].upper() + parameter[1:]
    assert error["parameter"] == f"{name}[1].{parameter}"
    assert error["type"] == type_name


def test_every_parameter_of_a_lora_has_its_range_checked() -> None:
    assert set(WeightedModel.wire_names()) == {parameter for parameter, _, _ in ADDITION_REFUSED}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ([], ()),
        ([ADDITION], (WeightedModel(model="civitai:82098@87153"),)),
        (
            [{"model": "urn:air:sd1:lora:civitai:82098@87153", "weight": -4}, {**ADDITION, "weight": None}],
            (
                WeightedModel(model="civitai:82098@87153", weight=-4.0),
                WeightedModel(model="civitai:82098@87153"),
            ),
        ),
        ([{**ADDITION, "weight": 4}] * 20, (WeightedModel(model="civitai:82098@87153", weight=4.0),) * 20),
    ],
)
def test_loras_and_embeddings_are_accepted(given: object, read: object) -> None:
    assert inference(lora=given).lora == read
    assert inference(embeddings=given).embeddings == read


def test_a_lora_needs_its_model_and_takes_nothing_else() -> None:
    error = refusal(MINIMAL | {"lora": [{"weight": 1}]})
    assert (error["code"], error["parameter"]) == ("missingLoraModel", "lora[0].model")
    error = refusal(MINIMAL | {"lora": [ADDITION, {**ADDITION, "wieght": 1}]})
    assert (error["code"], error["parameter"]) == ("unknownParameter", "lora[1].wieght")
    assert "Did you mean 'lora[1].weight'?" in str(error["message"])


GUIDE_REFUSED: list[tuple[str, str, list[Any]]] = [
    ("model", "string", ["", "plus", "runware:55", *TEXT]),
    ("guideImage", "string", [7, True, ["x"], {"x": 1}]),
    ("guideImages", "string[]", ["x", 7, True, [1], ["a", None], ["x"] * 9]),
    ("weight", "float", [-1.01, 1.01, *REAL]),
    ("combineMethod", "string", ["", "sum", *TEXT]),
    ("embedScaling", "string", ["", "k", *TEXT]),
    ("weightType", "string", ["", "linear", "ease", *TEXT]),
    ("weightComposition", "float", [-0.01, 1.01, *REAL]),
]


@pytest.mark.parametrize(
    ("parameter", "type_name", "value"),
    [(parameter, type_name, value) for parameter, type_name, values in GUIDE_REFUSED for value in values],
)
def test_a_value_of_an_ip_adapter_is_refused_with_its_place(
    parameter: str, type_name: str, value: object
) -> None:
    wrong = {**({} if parameter == "guideImages" else GUIDED), "model": "runware:55@1", parameter: value}
    error = refusal(MINIMAL | {"ipAdapters": [GUIDED, wrong]})
    assert error["code"] == "invalidIpAdapters" + parameter[0].upper() + parameter[1:]
    assert error["parameter"] == f"ipAdapters[1].{parameter}"
    assert error["type"] == type_name


def test_every_parameter_of_an_ip_adapter_has_its_range_checked() -> None:
    assert set(IPAdapter.wire_names()) == {parameter for parameter, _, _ in GUIDE_REFUSED}


PLAIN = IPAdapter(model="runware:55@5", guide_images=("x",))
EIGHT = IPAdapter(model="runware:55@5", guide_images=("x",) * 8)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ([], ()),
        ([GUIDED], (PLAIN,)),
        ([{"model": "runware:55@5", "guideImages": ["x"]}], (PLAIN,)),
        ([{**GUIDED, "guideImages": None, "weight": None}], (PLAIN,)),
        ([{**GUIDED, "guideImages": []}], (PLAIN,)),
        ([{**GUIDED, "guideImages": ["x"]}], (PLAIN,)),
        (
            [
                GUIDED,
                {
                    "model": "urn:air:sd1:ipadapter:runware:55@6",
                    "guideImages": ["a", "b"],
                    "weight": -1,
                    "combineMethod": "norm_average",
                    "embedScaling": "k_mean_v_penalty_c",
                    "weightType": "style_and_composition",
                    "weightComposition": 0,
                },
            ],
            (
                PLAIN,
                IPAdapter(
                    model="runware:55@6",
                    guide_images=("a", "b"),
                    weight=-1.0,
                    combine_method="norm_average",
                    embed_scaling="k_mean_v_penalty_c",
                    weight_type="style_and_composition",
                    weight_composition=0.0,
                ),
            ),
        ),
        ([{**GUIDED, "guideImage": None, "guideImages": ["x"] * 8}] * 8, (EIGHT,) * 8),
    ],
)
def test_ip_adapters_are_accepted(given: object, read: object) -> None:
    assert inference(ipAdapters=given).ip_adapters == read


@pytest.mark.parametrize(
    ("given", "code", "parameter"),
    [
        ({"guideImage": "x"}, "missingIpAdaptersModel", "ipAdapters[1].model"),
        ({"model": "runware:55@5"}, "missingIpAdaptersGuideImage", "ipAdapters[1].guideImage"),
        (
            {"model": "runware:55@5", "guideImage": "", "guideImages": []},
            "missingIpAdaptersGuideImage",
            "ipAdapters[1].guideImage",
        ),
        ({**GUIDED, "wieght": 1}, "unknownParameter", "ipAdapters[1].wieght"),
        (
            {**GUIDED, "guideImages": ["y"]},
            "incompatibleParameters",
            ["ipAdapters[1].guideImage", "ipAdapters[1].guideImages"],
        ),
    ],
)
def test_an_ip_adapter_needs_its_model_and_one_way_to_its_pictures(
    given: dict[str, object], code: str, parameter: object
) -> None:
    error = refusal(MINIMAL | {"ipAdapters": [GUIDED, given]})
    assert (error["code"], error["parameter"]) == (code, parameter)


PASS_REFUSED: list[tuple[str, str, list[Any]]] = [
    ("strength", "float", [-0.01, 1.01, *REAL]),
    ("positivePrompt", "string", ["", " ", "x" * 3001, *TEXT]),
    ("negativePrompt", "string", ["x" * 3001, *TEXT]),
    ("steps", "integer", [0, 101, *WHOLE]),
    ("CFGScale", "float", [-0.1, 50.1, *REAL]),
    ("scheduler", "string", ["", "Euler b", *TEXT]),
]


@pytest.mark.parametrize(
    ("parameter", "type_name", "value"),
    [(parameter, type_name, value) for parameter, type_name, values in PASS_REFUSED for value in values],
)
def test_a_value_of_a_pass_is_refused_with_its_place(parameter: str, type_name: str, value: object) -> None:
    error = refusal(MINIMAL | {"passes": [{}, {}, {parameter: value}]})
    assert error["code"] == "invalidPasses" + parameter[0].upper() + parameter[1:]
    assert error["parameter"] == f"passes[2].{parameter}"
    assert error["type"] == type_name
    assert str(error["message"]).startswith(f"'passes[2].{parameter}' must be ")


def test_every_parameter_of_a_pass_has_its_range_checked() -> None:
    assert set(Pass.wire_names()) == {parameter for parameter, _, _ in PASS_REFUSED}


@pytest.mark.parametrize(
    ("changes", "item"),
    [
        (
            {"steps": 0},
            {
                "code": "invalidSteps",
                "message": "'steps' must be an integer between 1 and 100, not 0.",
                "parameter": "steps",
                "type": "integer",
            },
        ),
        (
            {"width": 500},
            {
                "code": "invalidWidth",
                "message": "'width' must be an integer between 128 and 2048, divisible by 64, not 500.",
                "parameter": "width",
                "type": "integer",
            },
        ),
        (
            {"outputFormat": "gif"},
            {
                "code": "invalidOutputFormat",
                "message": "'outputFormat' must be one of 'JPG', 'PNG', 'WEBP', not \"gif\".",
                "parameter": "outputFormat",
                "type": "string",
                "allowedValues": ["JPG", "PNG", "WEBP"],
            },
        ),
        (
            {"model": "flux"},
            {
                "code": "invalidModel",
                "message": "'model' must be an AIR identifier of the form source:id@version, "
                'such as runware:101@1, not "flux".',
                "parameter": "model",
                "type": "string",
            },
        ),
        (
            {"scheduler": "dpm++ 2m karras"},
            {
                "code": "invalidScheduler",
                "message": "'scheduler' must be one of the scheduler names of the API, spelled exactly, not "
                "\"dpm++ 2m karras\". Did you mean 'DPM++ 2M Karras'?",
                "parameter": "scheduler",
                "type": "string",
                "allowedValues": list(SCHEDULER_NAMES),
            },
        ),
        (
            {"model": None},
            {
                "code": "missingModel",
                "message": "'model' is required: AIR identifier of the model.",
                "parameter": "model",
                "type": "string",
            },
        ),
        (
            {"positivePrompt": None},
            {
                "code": "missingPositivePrompt",
                "message": "'positivePrompt' is required: "
                "what guides the picture; __BLANK__ for no text guidance.",
                "parameter": "positivePrompt",
                "type": "string",
            },
        ),
        (
            {"width": None},
            {
                "code": "missingWidth",
                "message": "'width' is required: of the picture, in pixels; with referenceImages both sides may be "
                "left out.",
                "parameter": "width",
                "type": "integer",
            },
        ),
        (
            {"height": None},
            {
                "code": "missingHeight",
                "message": "'height' is required: of the picture, in pixels; with referenceImages both sides may be "
                "left out.",
                "parameter": "height",
                "type": "integer",
            },
        ),
        (
            {"width": None, "height": None},
            {
                "code": "missingDimensionParameters",
                "message": "'width' and 'height' are required: the size of the picture in pixels.",
                "parameter": ["width", "height"],
                "type": "integer",
            },
        ),
        (
            {"safety": {"mode": "strict"}},
            {
                "code": "invalidSafetyMode",
                "message": "'safety.mode' must be one of 'none', 'fast' and 'full'.",
                "parameter": "safety.mode",
                "type": "string",
                "allowedValues": ["none", "fast", "full"],
            },
        ),
        (
            {"safety": {"checkContent": "yes"}},
            {
                "code": "invalidSafetyCheckContent",
                "message": "'safety.checkContent' must be true or false.",
                "parameter": "safety.checkContent",
                "type": "boolean",
            },
        ),
        (
            {"seedImage": "a", "inputs": {"seedImage": "b"}},
            {
                "code": "incompatibleParameters",
                "message": "'seedImage' and 'inputs.seedImage' are different pictures; give one of them.",
                "parameter": ["seedImage", "inputs.seedImage"],
            },
        ),
        (
            {"positiveprompt": "x"},
            {
                "code": "unknownParameter",
                "message": "There is no parameter 'positiveprompt' in this task. "
                "Did you mean 'positivePrompt'?",
                "parameter": "positiveprompt",
            },
        ),
        (
            {"inputs": {"seedimage": "x"}},
            {
                "code": "unknownParameter",
                "message": "There is no parameter 'inputs.seedimage' in this task. "
                "Did you mean 'inputs.seedImage'?",
                "parameter": "inputs.seedimage",
            },
        ),
        (
            {"seedImage": "a", "maskMargin": 64},
            {
                "code": "missingMaskImage",
                "message": "'maskImage' is required with 'maskMargin': the margin is around what it paints.",
                "parameter": "maskImage",
                "type": "string",
            },
        ),
        (
            {"seedImage": "a", "outpaint": {"blur": 8}},
            {
                "code": "invalidOutpaint",
                "message": "'outpaint' must extend at least one side: give 'top', 'right', 'bottom' or 'left'.",
                "parameter": "outpaint",
                "type": "object",
            },
        ),
        (
            {"colorFix": True},
            {
                "code": "missingSeedImage",
                "message": "'seedImage' is required with 'colorFix': the picture whose colors are kept.",
                "parameter": "seedImage",
                "type": "string",
            },
        ),
        (
            {"seedImage": "a", "maskImage": "b", "colorFix": True},
            {
                "code": "incompatibleParameters",
                "message": "'colorFix' would keep the colors of what 'maskImage' paints anew; leave one of them out.",
                "parameter": ["colorFix", "maskImage"],
            },
        ),
        (
            {"seedImage": "a", "outpaint": {"left": 64}, "colorFix": True},
            {
                "code": "incompatibleParameters",
                "message": "'colorFix' would keep the colors of what 'outpaint' paints anew; leave one of them out.",
                "parameter": ["colorFix", "outpaint"],
            },
        ),
        (
            {"outpaint": {"left": 64}},
            {
                "code": "missingSeedImage",
                "message": "'seedImage' is required with 'outpaint': the picture to continue.",
                "parameter": "seedImage",
                "type": "string",
            },
        ),
        (
            {"seedImage": "a", "maskImage": "b", "outpaint": {"left": 64}},
            {
                "code": "incompatibleParameters",
                "message": "'outpaint' makes its own mask, of what it adds; leave 'maskImage' out.",
                "parameter": ["outpaint", "maskImage"],
            },
        ),
        (
            {"seedImage": "a", "outpaint": {"left": 65}},
            {
                "code": "invalidOutpaintLeft",
                "message": "'outpaint.left' must be an integer between 0 and 1984, divisible by 64, not 65.",
                "parameter": "outpaint.left",
                "type": "integer",
            },
        ),
        (
            {"seedImage": "a", "outpaint": {"leftt": 64}},
            {
                "code": "unknownParameter",
                "message": "There is no parameter 'outpaint.leftt' in this task. Did you mean 'outpaint.left'?",
                "parameter": "outpaint.leftt",
            },
        ),
        (
            {"passes": [{}, {"strength": 1.5}]},
            {
                "code": "invalidPassesStrength",
                "message": "'passes[1].strength' must be a number between 0 and 1, not 1.5.",
                "parameter": "passes[1].strength",
                "type": "float",
            },
        ),
        (
            {"passes": [{}, "x"]},
            {
                "code": "invalidPasses",
                "message": "'passes[1]' must be an object, not \"x\".",
                "parameter": "passes[1]",
                "type": "object",
            },
        ),
        (
            {"passes": [{"stepps": 3}]},
            {
                "code": "unknownParameter",
                "message": "There is no parameter 'passes[0].stepps' in this task. Did you mean 'passes[0].steps'?",
                "parameter": "passes[0].stepps",
            },
        ),
        (
            {"passes": [{"seed": 3}]},
            {
                "code": "unknownParameter",
                "message": "There is no parameter 'passes[0].seed' in this task.",
                "parameter": "passes[0].seed",
            },
        ),
        (
            {"maskImage": "x"},
            {
                "code": "missingSeedImage",
                "message": "'seedImage' is required with 'maskImage': the picture that the mask belongs to.",
                "parameter": "seedImage",
                "type": "string",
            },
        ),
        (
            {"seedImage": "a", "maskImage": "x", "inputs": {"mask": "y"}},
            {
                "code": "incompatibleParameters",
                "message": "'maskImage' and 'inputs.mask' are different pictures; give one of them.",
                "parameter": ["maskImage", "inputs.mask"],
            },
        ),
    ],
    ids=lambda case: str(case)[:40],
)
def test_the_error_in_full(changes: dict[str, object], item: dict[str, object]) -> None:
    assert refusal(MINIMAL | changes) == item


@pytest.mark.parametrize("parameter", ImageInferenceTask.wire_names())
def test_null_counts_as_absent(parameter: str) -> None:
    given_null = copy.deepcopy(MINIMAL) | {parameter: None}
    left_out = {name: value for name, value in MINIMAL.items() if name != parameter}
    if parameter in MINIMAL:
        assert refusal(given_null) == refusal(left_out)
    else:
        assert parse_task(given_null) == parse_task(left_out)


def test_the_seed_image_may_be_given_twice_when_it_is_the_same() -> None:
    assert inference(seedImage="a", inputs={"seedImage": "a"}).seed_image == "a"


CHANGES_THE_PICTURE: dict[str, object] = {
    "resolution": "1k",
    "trueCFGScale": 4.0,
    "usePromptWeighting": True,
    "advancedFeatures": {"layerDiffuse": True},
    "layerDiffuse": True,
    "hiresFix": True,
    "hiresfix": True,
    "lora": [{"model": "civitai:1@2", "weight": 1.0}],
    "lycoris": [{"model": "civitai:1@2", "weight": 1.0}],
    "upscaleFactor": 2,
}


@pytest.mark.parametrize("parameter", UNSUPPORTED_PARAMETERS)
def test_what_would_change_the_picture_is_refused_and_not_ignored(parameter: str) -> None:
    value = CHANGES_THE_PICTURE.get(parameter, {"enabled": "yes"})
    error = refusal(MINIMAL | {parameter: value})
    assert error["code"] == "unsupportedParameter"
    assert error["parameter"] == parameter
    assert UNSUPPORTED_PARAMETERS[parameter] in str(error["message"])


@pytest.mark.parametrize(
    ("asked", "interval", "branch"),
    [
        ({"acceleratorOptions": {"deepCache": True}}, 3, 0),
        ({"acceleratorOptions": {"deepCache": True, "deepCacheInterval": 4, "deepCacheBranchId": 1}}, 4, 1),
        ({"acceleration": "low"}, 2, 0),
        ({"acceleration": "medium"}, 3, 0),
        ({"acceleration": "high"}, 5, 0),
        ({"acceleration": "high", "acceleratorOptions": {"deepCacheInterval": 2, "teaCache": None}}, 2, 0),
    ],
)
def test_shortcuts_are_what_the_preset_and_over_it_the_options_say(
    asked: dict[str, object], interval: int, branch: int
) -> None:
    options = inference(**asked).accelerator_options
    assert options is not None
    assert options.deep_cache
    assert (options.deep_cache_interval, options.deep_cache_branch_id) == (interval, branch)


def test_options_can_switch_off_what_the_preset_switches_on() -> None:
    assert inference(acceleration="high", acceleratorOptions={"deepCache": False}) == inference()


@pytest.mark.parametrize(
    ("options", "code", "member"),
    [
        ({"teaCache": True}, "unsupportedParameter", "teaCache"),
        ({"fbCache": True, "deepCache": True}, "unsupportedParameter", "fbCache"),
        ({"deepCache": True, "cacheStartStep": 3}, "unsupportedParameter", "cacheStartStep"),
        (
            {"deepCache": True, "deepCacheInterval": 0},
            "invalidAcceleratorOptionsDeepCacheInterval",
            "deepCacheInterval",
        ),
        (
            {"deepCache": True, "deepCacheBranchId": -1},
            "invalidAcceleratorOptionsDeepCacheBranchId",
            "deepCacheBranchId",
        ),
        ({"deepCash": True}, "unknownParameter", "deepCash"),
    ],
)
def test_shortcuts_that_are_not_to_be_had_are_refused_by_their_place(
    options: dict[str, object], code: str, member: str
) -> None:
    error = refusal(MINIMAL | {"acceleratorOptions": options})
    assert (error["code"], error["parameter"]) == (code, f"acceleratorOptions.{member}")


@pytest.mark.parametrize(
    "place", [{"maskImage": "m"}, {"inputs": {"maskImage": "m"}}, {"inputs": {"mask": "m"}}]
)
def test_a_mask_can_be_given_in_three_places(place: dict[str, object]) -> None:
    assert inference(seedImage="a", **place).mask_image == "m"


@pytest.mark.parametrize("parameter", UNSUPPORTED_INPUTS)
def test_so_are_the_inputs_that_would(parameter: str) -> None:
    error = refusal(MINIMAL | {"inputs": {parameter: ["x"]}})
    assert (error["code"], error["parameter"]) == ("unsupportedParameter", f"inputs.{parameter}")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("lora", []),
        ("controlNet", []),
        ("inputs", {}),
        ("inputs", []),
        ("inputs", {"mask": None, "referenceImages": []}),
        ("refiner", {}),
        ("outpaint", {"top": 0, "right": 0, "bottom": 0, "left": 0}),
        ("puLID", {"inputImages": None, "idWeight": None}),
        ("providerSettings", {}),
        ("advancedFeatures", {"layerDiffuse": False, "hiresFix": None}),
        ("usePromptWeighting", False),
        ("acceleration", "none"),
        ("acceleratorOptions", {}),
        ("acceleratorOptions", {"teaCache": False, "teaCacheDistance": 0.5, "deepCacheInterval": 3}),
        ("settings", {"CFGScale": None}),
        ("webhookURL", ""),
    ],
)
def test_a_parameter_written_out_but_switched_off_is_no_obstacle(parameter: str, value: object) -> None:
    assert inference(**{parameter: value}) == inference()


@pytest.mark.parametrize("parameter", IGNORED_PARAMETERS)
@pytest.mark.parametrize("value", [True, 3, "x", {"a": [1]}])
def test_what_has_no_effect_is_accepted(parameter: str, value: object) -> None:
    assert inference(**{parameter: value}) == inference()


def test_python_names_are_not_wire_names() -> None:
    assert refusal(MINIMAL | {"cfg_scale": 7})["code"] == "unknownParameter"


def test_a_very_long_unknown_name_is_cut_short() -> None:
    error = refusal(MINIMAL | {"x" * 100_000: 1})
    assert error["code"] == "unknownParameter"
    assert len(str(error["message"])) < 200


def test_an_error_does_not_repeat_the_picture() -> None:
    error = refusal(MINIMAL | {"inputs": {"seedImage": "A" * 1_000_000}, "seedImage": "B" * 1_000_000})
    assert len(str(error)) < 500


def test_of_several_violations_the_first_in_documented_order_is_reported() -> None:
    broken: dict[str, object] = MINIMAL | {
        "fit": "x",
        "steps": 0,
        "width": 1,
        "model": None,
        "outputType": "x",
    }
    order = []
    for parameter in ("outputType", "model", "width", "steps", "fit"):
        order.append(refusal(broken)["parameter"])
        broken |= {parameter: MINIMAL.get(parameter)}
    assert order == ["outputType", "model", "width", "steps", "fit"]
    assert parse_task(broken) == parse_task(MINIMAL)


def test_a_misspelt_name_is_reported_before_what_it_leaves_missing() -> None:
    raw = {name: value for name, value in MINIMAL.items() if name != "width"} | {"witdh": 512}
    assert refusal(raw)["message"] == "There is no parameter 'witdh' in this task. Did you mean 'width'?"


def test_a_task_is_immutable() -> None:
    task = inference()
    for attribute in ImageInferenceTask.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(task, attribute, getattr(task, attribute))


REFINER = "civitai:101055@128080"


@pytest.mark.parametrize(
    "start",
    [
        {},
        {"startStep": 2},
        {"startStep": 100},
        {"startStepPercentage": 1},
        {"startStepPercentage": 99, "startStep": None},
    ],
)
def test_a_refiner_begins_at_a_step_or_after_a_share_of_them(start: dict[str, object]) -> None:
    refiner = inference(refiner={"model": "urn:air:sdxl:checkpoint:" + REFINER, **start}).refiner
    assert refiner is not None
    assert refiner.model == REFINER
    assert (refiner.start_step, refiner.start_step_percentage) == (
        start.get("startStep"),
        start.get("startStepPercentage"),
    )


@pytest.mark.parametrize(
    ("refiner", "code", "parameter"),
    [
        ({"model": REFINER, "startStep": 1}, "invalidRefinerStartStep", "refiner.startStep"),
        ({"model": REFINER, "startStep": 101}, "invalidRefinerStartStep", "refiner.startStep"),
        (
            {"model": REFINER, "startStepPercentage": 0},
            "invalidRefinerStartStepPercentage",
            "refiner.startStepPercentage",
        ),
        (
            {"model": REFINER, "startStepPercentage": 100},
            "invalidRefinerStartStepPercentage",
            "refiner.startStepPercentage",
        ),
        ({"startStep": 5}, "missingRefinerModel", "refiner.model"),
        ({"model": "not an AIR"}, "invalidRefinerModel", "refiner.model"),
        ({"model": REFINER, "startstep": 3}, "unknownParameter", "refiner.startstep"),
        ("refiner", "invalidRefiner", "refiner"),
        (
            {"model": REFINER, "startStep": 5, "startStepPercentage": 50},
            "incompatibleParameters",
            ["refiner.startStep", "refiner.startStepPercentage"],
        ),
    ],
)
def test_what_is_wrong_with_a_refiner_is_named(refiner: object, code: str, parameter: object) -> None:
    error = refusal(MINIMAL | {"refiner": refiner})
    assert (error["code"], error["parameter"]) == (code, parameter)


def test_a_refiner_and_several_passes_exclude_each_other() -> None:
    error = refusal(MINIMAL | {"seedImage": "a", "passes": [{}, {}], "refiner": {"model": REFINER}})
    assert (error["code"], error["parameter"]) == ("incompatibleParameters", ["refiner", "passes"])
