"""The documentation: complete, up to date, and its commands and links lead somewhere."""

import importlib.util
import inspect
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import pytest

import underpaint
from underpaint.cli.main import app
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.settings import Settings
from underpaint.wire import (
    ERROR_CODES,
    TASK_MODELS,
    ImageInferenceTask,
    TaskError,
    parse_request,
    parse_task,
)
from underpaint.wire.fields import wire_name
from underpaint.wire.parameters import UNSUPPORTED_INPUTS

REPOSITORY = Path(__file__).parent.parent
DOCS = REPOSITORY / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *REPOSITORY.glob("*.md"), *(REPOSITORY / "examples").glob("*.md")])


def _module(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"documentation_{path.stem}", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


generate = _module(DOCS / "generate.py")


def _text(*names: str) -> str:
    return "\n".join((REPOSITORY / name).read_text("utf-8") for name in names)


def _fenced(text: str, *languages: str) -> Iterator[str]:
    for language, body in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        if language in languages:
            yield body


@pytest.mark.parametrize("path", generate.pages(), ids=lambda path: path.stem)
def test_generated_parts_are_up_to_date(path: Path) -> None:
    page = path.read_text("utf-8")

    assert generate.render(page) == page, "run `make docs`"


def test_every_generated_part_is_on_a_page() -> None:
    everything = "\n".join(path.read_text("utf-8") for path in generate.pages())

    for name in generate.BLOCKS:
        assert f"<!-- generated: {name} -->" in everything, name


def test_every_setting_is_documented() -> None:
    page = _text("docs/settings.md")

    for name, field in Settings.model_fields.items():
        assert f"`{name}`" in page, name
        assert field.description, name


def test_every_task_type_and_parameter_is_documented_and_described() -> None:
    page = _text("docs/api.md")

    for task_type, model in TASK_MODELS.items():
        section = page.partition(f"### {task_type}\n")[2].partition("\n#")[0]
        for name in model.wire_names():
            assert name == "taskType" or f"`{name}`" in section, (task_type, name)


def test_every_member_of_an_object_of_a_task_is_documented() -> None:
    page = _text("docs/api.md")

    for task_type, model in TASK_MODELS.items():
        section = page.partition(f"### {task_type}\n")[2].partition("\n#")[0]
        for name, described in generate.definitions()[model.__name__]["properties"].items():
            for member in generate._members(task_type, name):
                prefix = f"{name}[]" if "items" in described else name
                assert f"`{prefix}.{member}`" in section, (task_type, name, member)


def _rows(page: str, name: str) -> list[list[str]]:
    """The cells of a generated table."""
    block = page.partition(f"<!-- generated: {name} -->")[2].partition("<!-- end -->")[0]
    lines = [line for line in block.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@pytest.mark.parametrize("task_type", TASK_MODELS)
def test_the_page_says_in_which_tasks_a_parameter_is_refused_or_ignored(task_type: str) -> None:
    page = _text("docs/api.md")
    said: dict[str, set[str]] = {}
    for block in ("unsupported", "ignored"):
        named = [
            re.findall(r"`([^`]+)`", names)
            for names, where, _ in _rows(page, block)
            if (task_type in re.split(r"\W+", where)) != where.startswith("every task")
        ]
        said[block] = {name for names in named for name in names}

    model = TASK_MODELS[task_type]
    for block, there in (("unsupported", model.unsupported), ("ignored", model.ignored)):
        assert {name for name in said[block] if "." not in name} == set(there), block
    if task_type == "imageInference":
        assert {f"inputs.{name}" for name in UNSUPPORTED_INPUTS} <= said["unsupported"]
    for name in model.unsupported:
        with pytest.raises(TaskError) as refused:
            parse_task({"taskType": task_type, "taskUUID": "a", name: 7})
        assert refused.value.code == "unsupportedParameter", name


def test_the_results_of_every_task_type_are_documented() -> None:
    section = _text("docs/api.md").partition("## Results\n")[2].partition("\n## ")[0]

    for task_type in TASK_MODELS:
        assert f"| `{task_type}` |" in section, task_type


def test_every_extension_is_documented() -> None:
    section = _text("docs/api.md").partition("## Extensions\n")[2]

    for model in TASK_MODELS.values():
        for name in model.model_fields:
            if "(extension)" in str(model.model_fields[name].description):
                assert f"`{wire_name(name)}`" in section, name


def test_every_error_code_is_documented() -> None:
    page = _text("docs/api.md")

    for code in ERROR_CODES:
        assert f"`{code}`" in page, code


def test_what_differs_from_the_api_is_accepted_at_all() -> None:
    for task_type, documented in generate.documented_api().items():
        for name in documented.get("differs", {}):
            assert name in documented["parameters"], (task_type, name)
            assert generate.verdict(task_type, name)[0] == "differs", (task_type, name)


def test_every_member_of_an_object_says_what_becomes_of_it() -> None:
    for task_type, documented in generate.documented_api().items():
        members = documented.get("members", {})
        verdicts = {
            f"{parent}.{member}": generate.member_verdict(task_type, parent, member)
            for parent, given in members.items()
            for member in given
        }
        for name, (word, said) in verdicts.items():
            assert word == "works" or said, name
        # No note is about what is not there, and none is lost behind a refusal.
        for name, note in documented.get("notes", {}).items():
            assert verdicts[name][1] == note, name
        for parent in members:
            if task_type == "imageInference":
                extra = generate._members(task_type, parent.removesuffix("[]")) - set(members[parent])
                assert not extra, parent


def test_every_object_of_a_task_has_its_members_on_the_page() -> None:
    members = generate.documented_api()["imageInference"]["members"]
    for name in generate.documented_api()["imageInference"]["parameters"]:
        if generate.verdict("imageInference", name)[0] in ("works", "differs"):
            holds = generate._members("imageInference", name)
            assert not holds or name in members or f"{name}[]" in members, name


def test_every_result_field_that_is_not_sent_says_why() -> None:
    for task_type, documented in generate.documented_api().items():
        if task_type not in TASK_MODELS:
            continue
        for name in documented["results"]:
            word, said = generate.field_verdict(task_type, name)
            assert word == "works" or said, (task_type, name)
        assert set(documented.get("fields", {})) <= set(documented["results"]), task_type


def test_every_refusal_of_a_documented_parameter_says_why() -> None:
    for name in generate.documented_api()["imageInference"]["parameters"]:
        word, why = generate.verdict("imageInference", name)
        assert word != "refused" or why != "the server does not know it", name


def test_what_the_api_does_not_have_is_an_extension() -> None:
    section = _text("docs/api.md").partition("## Extensions\n")[2]

    for task_type, model in TASK_MODELS.items():
        if task_type not in generate.documented_api():
            assert f"`{task_type}`" in section, task_type
            continue
        for name in set(model.wire_names()) - {
            "taskType",
            *generate.documented_api()[task_type]["parameters"],
        }:
            assert f"`{name}`" in section, (task_type, name)


def test_every_task_of_the_api_that_this_server_knows_says_what_it_answers() -> None:
    for task_type, documented in generate.documented_api().items():
        if task_type in TASK_MODELS:
            assert set(documented["results"]) & generate.result_fields(task_type), task_type


def test_everything_that_the_library_exports_is_documented() -> None:
    page = _text("docs/library.md")

    for name in set(underpaint.__all__) - {"__version__"}:
        assert f"## {name}\n" in page, name
    for name in set(inspect.signature(underpaint.Painter.transform).parameters) - {"self"}:
        assert f"| `{name}` |" in page, name


def test_the_example_of_the_library_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [example] = _fenced(_text("docs/library.md"), "python")
    (tmp_path / "photo.jpg").write_bytes((REPOSITORY / "examples" / "photo.jpg").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNDERPAINT_DATA_DIR", str(tmp_path / "data"))

    names: dict[str, Any] = {}
    exec(compile(example, "library.md", "exec"), names)

    assert (tmp_path / "sketch.png").exists()
    assert names["sketch"].effective_steps == names["sketch"].steps / 2
    assert names["lake"].strength is None
    assert [each.strength for (each,) in (names["weak"], names["strong"])] == [0.3, 0.7]


def test_the_settings_that_are_shown_are_understood() -> None:
    shown = re.findall(r"^ *```toml\n(.*?)^ *```", _text("docs/settings.md"), re.DOTALL | re.MULTILINE)

    assert len(shown) == 2
    for block in shown:
        assert Settings(**tomllib.loads(block)).model_fields_set


def test_every_choice_of_a_setting_is_on_its_page() -> None:
    rows = {row[0]: row for row in _rows(_text("docs/settings.md"), "settings")}

    for name, field in Settings.model_fields.items():
        for choice in get_args(field.annotation) if get_origin(field.annotation) is Literal else ():
            assert f"`{choice}`" in rows[f"`{name}`"][3], (name, choice)


def test_every_command_is_documented() -> None:
    page = _text("docs/cli.md")

    for name in app:
        if not name.startswith("-"):
            assert f"## underpaint {name}\n" in page, name


def test_every_public_name_is_documented() -> None:
    everything = _text("README.md", "CHANGELOG.md")

    for name in ("transform", "Painter"):
        assert name in underpaint.__all__
        assert f"underpaint.{name}" in everything, name


def test_no_page_names_a_machine() -> None:
    for path in PAGES:
        assert not re.search(r"/root/|/home/\w|/work/|/tmp/", path.read_text("utf-8")), path.name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        page = (path.parent / name) if name else path
        assert page.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, target


def test_every_decision_is_on_the_list_under_a_number_of_its_own() -> None:
    listed = _text("docs/decisions/README.md")
    pages = sorted((DOCS / "decisions").glob("[0-9]*.md"))

    assert len({page.name[:3] for page in pages}) == len(pages)
    for page in pages:
        assert f"[{page.name[:3]}]({page.name})" in listed, page.name


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", _text("Makefile"), re.MULTILINE))

    for path in PAGES:
        for block in _fenced(path.read_text("utf-8"), "sh"):
            for target in re.findall(r"^make (\w+)", block, re.MULTILINE):
                assert target in targets, (path.name, target)


def _commands() -> list[tuple[str, str]]:
    found = []
    for path in PAGES:
        for block in _fenced(path.read_text("utf-8"), "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.partition(" #")[0].strip()
                if command.startswith("underpaint "):
                    found.append((path.name, command.removeprefix("underpaint ")))
    return found


@pytest.mark.parametrize(("page", "command"), _commands())
def test_commands_that_are_shown_are_understood(page: str, command: str) -> None:
    parsed, *_ = app.parse_args(shlex.split(command), exit_on_error=False, print_error=False)

    assert parsed.__name__ != "help_print", (page, command)


def test_python_that_is_shown_runs_as_far_as_names_go() -> None:
    for path in PAGES:
        for block in _fenced(path.read_text("utf-8"), "python"):
            compile(block, path.name, "exec")
            for name in re.findall(r"underpaint\.(\w+)", block):
                assert name in underpaint.__all__, (path.name, name)


def test_what_the_readme_says_of_architectures_is_so() -> None:
    modules = {family.module for family in FAMILY_OF_ARCHITECTURE.values()}
    assert modules == {"stable_diffusion", "stable_diffusion_xl", "stable_diffusion_3", "flux"}
    assert "Stable Diffusion 1.x, 2.x and 3, SDXL and FLUX.1" in _text("README.md").replace("\n", " ")


def test_every_pinned_package_satisfies_what_the_project_asks_for() -> None:
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    pins = dict(re.findall(r"^([\w-]+)==(.+)$", _text("constraints.txt"), re.MULTILINE))
    normal = {name.lower().replace("_", "-"): version for name, version in pins.items()}

    for requirement in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        name = re.split(r"[\[<>=]", requirement)[0]
        assert name in normal, requirement
        assert "+" not in normal[name], "a local version tag would keep other machines from their own build"


def test_the_request_that_the_readme_shows_is_a_valid_one() -> None:
    [body] = re.findall(r"<<TASKS\n(.*?)TASKS\n", _text("README.md"), re.DOTALL)
    filled = re.sub(r"\$\(.*?\)\"", '1234"', re.sub(r"\$\(python3.*?\)\)'\)", "1234", body))

    [task] = parse_request(json.loads(filled))
    assert isinstance(parse_task(task), ImageInferenceTask)


@pytest.mark.parametrize("name", ["reliability.md", "security.md"])
def test_every_promise_names_a_test_that_exists(name: str) -> None:
    page = (DOCS / name).read_text("utf-8")
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("|")]
    promises = [row for row in rows if row[-1].strip() != "held by" and "---" not in row[0]]

    assert len(promises) >= 9
    for promise, *_, holders in promises:
        named = re.findall(r"`(tests/[\w/.]+)`", holders)
        assert named, promise
        for path in named:
            assert (REPOSITORY / path).exists(), path
            assert path.endswith(".py") or any((REPOSITORY / path).glob("test_*.py")), path


def test_commands_of_the_tests_that_are_shown_exist() -> None:
    shown = {
        module
        for path in PAGES
        for block in _fenced(path.read_text("utf-8"), "sh")
        for module in re.findall(r"^python -m (tests[\w.]*)", block, re.MULTILINE)
    }

    assert {"tests.fuzz", "tests.soak"} <= shown
    for module in shown:
        place = REPOSITORY / module.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module
