"""Every parameter of upscale: what is accepted and what is refused, with its name."""

import pytest

from underpaint.wire import Pass, TaskError, UpscaleSettings, UpscaleTask, parse_task

MINIMAL: dict[str, object] = {
    "taskType": "upscale",
    "taskUUID": "b8c4d952-7f27-4a6e-bc9a-83f01d1c6d59",
    "inputImage": "https://example.com/a.png",
    "model": "underpaint:1@2",
}


def upscale(**parameters: object) -> UpscaleTask:
    task = parse_task(MINIMAL | parameters)
    assert isinstance(task, UpscaleTask)
    return task


def refusal(**parameters: object) -> dict[str, object]:
    with pytest.raises(TaskError) as caught:
        parse_task({name: value for name, value in (MINIMAL | parameters).items() if value is not ...})
    assert caught.value.status_code == 400
    return caught.value.item(task_uuid=None, task_type=None)


def test_the_least_that_can_be_said() -> None:
    task = upscale()
    assert (task.upscale_factor, task.settings, task.output_format) == (2, UpscaleSettings(), "JPG")


def test_the_name_of_the_python_client_is_kept() -> None:
    assert upscale(taskType="imageUpscale").task_type == "imageUpscale"


@pytest.mark.parametrize(
    ("parameters", "attribute", "expected"),
    [
        ({"upscaleFactor": 4.0}, "upscale_factor", 4),
        ({"inputImage": None, "inputs": {"image": "x"}}, "input_image", "x"),
        ({"inputs": {"image": MINIMAL["inputImage"]}}, "input_image", MINIMAL["inputImage"]),
        ({"settings": {}}, "settings", UpscaleSettings()),
        ({"settings": []}, "settings", UpscaleSettings()),
        (
            {"settings": {"strength": 0, "positivePrompt": "x", "CFGScale": 5, "seed": 7, "colorFix": True}},
            "settings",
            UpscaleSettings(strength=0.0, positive_prompt="x", cfg_scale=5.0, seed=7, color_fix=True),
        ),
        ({"webhookURL": "", "targetMegapixels": None}, "webhook_url", None),
        ({"deliveryMethod": "async"}, "answered_at_once", True),
        ({"outputType": ["dataURI", "URL"]}, "output_type", ("dataURI", "URL")),
        ({"outputType": "base64data"}, "output_type", ("base64Data",)),
        ({"numberResults": 1.0}, "upscale_factor", 2),
    ],
)
def test_what_is_accepted(parameters: dict[str, object], attribute: str, expected: object) -> None:
    assert getattr(upscale(**parameters), attribute) == expected


@pytest.mark.parametrize(
    ("parameters", "code", "parameter"),
    [
        ({"inputImage": ...}, "missingInputImage", "inputImage"),
        ({"inputImage": ""}, "invalidInputImage", "inputImage"),
        ({"model": ...}, "missingModel", "model"),
        ({"model": "clarity"}, "invalidModel", "model"),
        ({"upscaleFactor": 1}, "invalidUpscaleFactor", "upscaleFactor"),
        ({"upscaleFactor": 5}, "invalidUpscaleFactor", "upscaleFactor"),
        ({"upscaleFactor": "2"}, "invalidUpscaleFactor", "upscaleFactor"),
        ({"targetMegapixels": 4}, "unsupportedParameter", "targetMegapixels"),
        ({"numberResults": 2}, "unsupportedParameter", "numberResults"),
        ({"numberResults": True}, "unsupportedParameter", "numberResults"),
        ({"inputs": "x"}, "invalidInputs", "inputs"),
        ({"inputs": {"image": "b"}}, "incompatibleParameters", ["inputImage", "inputs.image"]),
        ({"inputs": {"picture": "b"}}, "unknownParameter", "inputs.picture"),
        ({"settings": "x"}, "invalidSettings", "settings"),
        ({"settings": {"strength": 2}}, "invalidSettingsStrength", "settings.strength"),
        ({"settings": {"steps": 0}}, "invalidSettingsSteps", "settings.steps"),
        ({"settings": {"seed": 0}}, "invalidSettingsSeed", "settings.seed"),
        ({"settings": {"CFGScale": 51}}, "invalidSettingsCFGScale", "settings.CFGScale"),
        ({"settings": {"clipSkip": 3}}, "invalidSettingsClipSkip", "settings.clipSkip"),
        ({"settings": {"scheduler": "x"}}, "invalidSettingsScheduler", "settings.scheduler"),
        ({"settings": {"positivePrompt": ""}}, "invalidSettingsPositivePrompt", "settings.positivePrompt"),
        ({"settings": {"negativePrompt": 7}}, "invalidSettingsNegativePrompt", "settings.negativePrompt"),
        ({"settings": {"colorFix": "wavelet"}}, "invalidSettingsColorFix", "settings.colorFix"),
        ({"settings": {"controlNetWeight": 0.5}}, "unsupportedParameter", "settings.controlNetWeight"),
        ({"settings": {"strenght": 1}}, "unknownParameter", "settings.strenght"),
        ({"outputFormat": "gif"}, "invalidOutputFormat", "outputFormat"),
        ({"positivePrompt": "x"}, "unknownParameter", "positivePrompt"),
    ],
)
def test_what_is_refused(parameters: dict[str, object], code: str, parameter: object) -> None:
    error = refusal(**parameters)
    assert (error["code"], error["parameter"]) == (code, parameter)


def test_a_pass_is_no_setting() -> None:
    assert set(UpscaleSettings.wire_names()) > set(Pass.wire_names())
