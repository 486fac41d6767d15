"""Writes the generated parts of the documentation anew: `make docs`.

A page holds prose, and blocks between `<!-- generated: NAME -->` and `<!-- end -->`, which come from the code:
settings, tasks, errors, commands, metrics, models. `tests/test_docs.py` fails when a block is out of date.
"""

import dataclasses
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from underpaint.catalog import ModelEntry
from underpaint.catalog.embedded_entry import ALWAYS_THERE
from underpaint.catalog.known import KNOWN
from underpaint.cli.main import app
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.server.metrics import Metrics
from underpaint.settings import ENVIRONMENT_PREFIX, Settings
from underpaint.studio.requests import RUNNABLE_ARCHITECTURES
from underpaint.studio.studio import StudioStatus
from underpaint.wire import (
    ERROR_CODES,
    SCHEDULER_NAMES,
    TASK_MODELS,
    TaskError,
    json_schema,
    parse_task,
    results,
)
from underpaint.wire.parameters import (
    IGNORED_OUTSIDE_INFERENCE,
    IGNORED_PARAMETERS,
    UNSUPPORTED_INPUTS,
    UNSUPPORTED_PARAMETERS,
)

DOCS = Path(__file__).parent
_BLOCK = re.compile(r"<!-- generated: (?P<name>[\w-]+) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)


def render(page: str) -> str:
    """A page with every generated block as it should be.

    Raises:
        KeyError: the page has a block that nothing generates.
    """
    return _BLOCK.sub(
        lambda block: (
            f"<!-- generated: {block['name']} -->\n\n{BLOCKS[block['name']]().strip()}\n\n<!-- end -->"
        ),
        page,
    )


def pages() -> list[Path]:
    """The pages that have generated blocks."""
    return [path for path in sorted(DOCS.rglob("*.md")) if _BLOCK.search(path.read_text("utf-8"))]


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    """A table's cell: bars would end it, and what is between double underscores would be bold."""
    return re.sub(r"__(\w+?)__", r"`__\1__`", text.replace("|", "\\|"))


def _code(value: object) -> str:
    return f"`{value}`"


def _settings() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = (
            ""
            if default in (None, {}, ())
            else _code(str(default).lower() if isinstance(default, bool) else default)
        )
        rows.append(
            (
                _code(name),
                _code(f"--{name.replace('_', '-')}"),
                _code(ENVIRONMENT_PREFIX + name.upper()),
                "the platform's folder for data" if name == "data_dir" else shown,
                str(field.description),
            )
        )
    return _table(("setting", "option", "environment", "default", "meaning"), rows)


def _type(described: Mapping[str, Any]) -> str:
    if "oneOf" in described:
        return " or ".join(_type(each) for each in described["oneOf"])
    if "const" in described:
        return _code(described["const"])
    if "enum" in described and len(described["enum"]) <= 12:
        return ", ".join(map(_code, described["enum"]))
    if "$ref" in described:
        return "object"
    if described.get("type") == "array":
        return f"list of {_type(described['items'])}{'s' if '$ref' in described['items'] else ''}"
    return str(described.get("type", "any"))


def _range(described: Mapping[str, Any]) -> str:
    if "maxLength" in described:
        return f"{described.get('minLength', 0)} to {described['maxLength']} characters"
    if "maxItems" in described:
        return f"up to {described['maxItems']}"
    if "minimum" not in described:
        return ""
    low, high = described["minimum"], described["maximum"]
    largest = {2**63 - 1: "2^63 - 1", 2**31 - 1: "2^31 - 1"}.get(high, f"{high:g}")
    multiple = f", multiples of {described['multipleOf']}" if "multipleOf" in described else ""
    return f"{low:g} to {largest}{multiple}"


def _default(described: Mapping[str, Any], *, required: bool) -> str:
    if required:
        return "required"
    default = described.get("default")
    if default in (None, [], ""):
        return ""
    if isinstance(default, list):
        default = ", ".join(default)
    return _code(str(default).lower() if isinstance(default, bool) else default)


def _tasks() -> str:
    definitions = json_schema()["$defs"]
    parts = []
    for task_type, model in TASK_MODELS.items():
        definition = definitions[model.__name__]
        required = definition["required"]
        properties: dict[str, Any] = {}
        for name, described in definition["properties"].items():
            properties[name] = described
            # What an object holds, or the objects of a list, comes after it.
            reference = described.get("$ref") or described.get("items", {}).get("$ref")
            if reference is not None:
                inner = definitions[reference.rpartition("/")[2]]["properties"]
                prefix = f"{name}[]" if "items" in described else name
                properties |= {f"{prefix}.{member}": each for member, each in inner.items()}
        rows = [
            (
                _code(name),
                _type(described),
                _range(described),
                _default(described, required=name in required),
                described.get("description", ""),
            )
            for name, described in properties.items()
            if name != "taskType"
        ]
        description = " ".join(definition["description"].split())
        table = _table(("parameter", "type", "range", "default", "meaning"), rows)
        parts.append(f"### {task_type}\n\n{description}\n\n{table}")
    return "\n\n".join(parts)


def _unsupported() -> str:
    named = {
        **UNSUPPORTED_PARAMETERS,
        **{f"inputs.{name}": reason for name, reason in UNSUPPORTED_INPUTS.items()},
    }
    reasons: dict[str, list[str]] = {}
    for name, reason in named.items():
        reasons.setdefault(reason, []).append(_code(name))
    return _table(("parameter", "because"), ((", ".join(names), reason) for reason, names in reasons.items()))


def _ignored() -> str:
    everywhere = [(_code(name), "every task", reason) for name, reason in IGNORED_PARAMETERS.items()]
    elsewhere = [
        (_code(name), "every task but imageInference", reason)
        for name, reason in IGNORED_OUTSIDE_INFERENCE.items()
    ]
    return _table(("parameter", "in", "because"), [*everywhere, *elsewhere])


def _errors() -> str:
    rows = ((_code(code), str(error.status_code), error.description) for code, error in ERROR_CODES.items())
    return _table(("code", "status", "meaning"), rows)


def _schedulers() -> str:
    families = FAMILY_OF_ARCHITECTURE.values()
    runs_in = {
        # Without repetition, in the table's order.
        name: dict.fromkeys(family.title for family in families if name in family.schedulers)
        for name in SCHEDULER_NAMES
    }
    rows = ((_code(name), ", ".join(found) or "no family of this version") for name, found in runs_in.items())
    return _table(("scheduler", "runs in"), rows)


def _families() -> str:
    architectures: dict[str, list[str]] = {}
    for architecture, family in FAMILY_OF_ARCHITECTURE.items():
        architectures.setdefault(family.title, []).append(_code(architecture))
    return _table(
        ("family", "architectures"), ((title, ", ".join(names)) for title, names in architectures.items())
    )


def _commands() -> str:
    # Of how this process was started, cyclopts replaces one word only, and `python -m pytest` has three.
    started_as, sys.argv[0] = sys.argv[0], "underpaint"
    try:
        text = app.generate_docs(output_format="markdown", include_hidden=False)
    finally:
        sys.argv[0] = started_as
    # The first heading and the list of contents are the page's own affair, and the data folder is this machine's.
    text = re.sub(r"\A# .*?(?=^## )", "", text, flags=re.DOTALL | re.MULTILINE)
    data_dir = Settings.model_fields["data_dir"].get_default(call_default_factory=True, validated_data={})
    return text.replace(str(data_dir), "the platform's folder for data")


def _metrics() -> str:
    idle = StudioStatus(ready=True, draining=False, waiting=0, running=0, engine_restarts=0)
    exposition = Metrics(lambda: idle).render().decode()
    helps = dict(re.findall(r"^# HELP (\S+) (.+)$", exposition, re.MULTILINE))
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", exposition, re.MULTILINE))
    rows = ((_code(name), types[name], help) for name, help in helps.items() if not name.endswith("_created"))
    return _table(("metric", "type", "meaning"), rows)


def _runs(entry: ModelEntry) -> bool:
    if entry.air in ALWAYS_THERE:
        return True
    family = FAMILY_OF_ARCHITECTURE.get(entry.architecture)
    if entry.category == "ipadapter":
        return family is not None and family.ip_adapters
    if entry.category == "controlnet":
        return family is not None and family.controlnets
    return entry.category == "checkpoint" and entry.type in RUNNABLE_ARCHITECTURES.get(entry.architecture, ())


def _models() -> str:
    entries = [*ALWAYS_THERE.values(), *KNOWN.values()]
    rows = (
        (
            _code(entry.air),
            f"{entry.name} {entry.version}" if entry.category == "checkpoint" else entry.name,
            entry.category,
            _code(entry.architecture),
            "yes" if _runs(entry) else "not yet",
            f"[{entry.hub_id}](https://huggingface.co/{entry.hub_id})" if entry.hub_id else "",
            entry.license or "",
        )
        for entry in entries
    )
    return _table(("model", "name", "category", "architecture", "runs here", "from", "license"), rows)


RESULT_TYPES: Mapping[str, tuple[type[Any], ...]] = {
    "authentication": (results.AuthenticationResult,),
    "ping": (results.Pong,),
    "imageInference": (results.ImageResult,),
    "upscale": (results.ImageResult,),
    "controlNetPreprocess": (results.GuideImageResult,),
    "imageUpload": (results.UploadResult,),
    "mediaStorage": (results.MediaUploadResult, results.MediaDeleteResult),
    "getResponse": (results.ProcessingStatus, results.ImageResult),
    "getTaskDetails": (results.TaskDetailsResult,),
    "modelSearch": (results.ModelSearchResult,),
    "modelUpload": (results.ModelUploadStatus,),
}
"""What the tasks of the hosted API are answered with here."""


def result_fields(task_type: str) -> set[str]:
    """Every key that a result of a task can have; those of a search's models as `results[].key`."""
    found: set[str] = set()
    for result_type in RESULT_TYPES[task_type]:
        # Each field filled with something, so that none is left out as absent.
        filled: dict[str, Any] = {field.name: {} for field in dataclasses.fields(result_type)}
        for field in dataclasses.fields(result_type):
            if str(field.type).startswith("float"):
                filled[field.name] = 0.0
        if result_type is results.ModelSearchResult:
            model = results.FoundModel(
                **{field.name: "1" for field in dataclasses.fields(results.FoundModel)}  # type: ignore[arg-type]
            )
            found |= {f"results[].{name}" for name in model.item()}
            filled["results"] = ()
        found |= set(result_type(**filled).item())
    return found


def documented_api() -> dict[str, dict[str, Any]]:
    """Tasks, parameters and result fields that the hosted API documents."""
    return tomllib.loads((DOCS / "compatibility.toml").read_text("utf-8"))


def verdict(task_type: str, name: str) -> tuple[str, str]:
    """What becomes of a documented parameter of a task that this server knows: a word, and what there is to say."""
    model = TASK_MODELS[task_type]
    definition = json_schema()["$defs"][model.__name__]
    if name in definition["properties"]:
        said = documented_api()[task_type].get("differs", {}).get(name, "")
        return ("differs" if said else "works"), said
    if name in model.ignored:
        return "no effect", model.ignored[name]
    return "refused", model.unsupported.get(name, "the server does not know it")


_BESIDE: Mapping[str, Mapping[str, Any]] = {
    "outpaint": {"top": 64},
    "lora[]": {"model": "civitai:1@1"},
    "embeddings[]": {"model": "civitai:1@1"},
    "refiner": {"model": "civitai:101055@128080"},
    "controlNet[]": {"model": "civitai:1@1", "guideImage": "a"},
    "ipAdapters[]": {"model": "runware:55@5", "guideImage": "a"},
    "acceleratorOptions": {"deepCache": True},
}
"""What a member of an object has to have beside it."""
_SMALLEST: Mapping[str, Mapping[str, Any]] = {
    "imageInference": {
        "model": "civitai:1@1",
        "positivePrompt": "a",
        "seedImage": "a",
        "width": 512,
        "height": 512,
        "steps": 20,
    },
    "upscale": {"model": "civitai:1@1", "inputImage": "a", "upscaleFactor": 2},
}


def member_verdict(task_type: str, parent: str, member: str) -> tuple[str, str]:
    """What becomes of a member of an object, by giving it to the types that check requests."""
    documented = documented_api()[task_type]
    value = documented["members"][parent][member]
    given = {**_BESIDE.get(parent, {}), member: value}
    if member == "guideImages":
        del given["guideImage"]
    outer = dict(_SMALLEST[task_type])
    if parent == "inputs":
        # One picture is given in one place.
        outer = {name: each for name, each in outer.items() if name not in ("seedImage", "inputImage")}
        given = {**({"seedImage": "a"} if "mask" in member.lower() else {}), **given}
    name = parent.removesuffix("[]")
    task = {
        **outer,
        "taskType": task_type,
        "taskUUID": "00000000-0000-4000-8000-000000000000",
        name: [given] if parent.endswith("[]") else given,
    }
    try:
        parse_task(task)
    except TaskError as error:
        return "refused", error.message.partition(": ")[2] or error.message
    known = _members(task_type, name)
    said = documented.get("notes", {}).get(f"{parent}.{member}", "")
    if member not in known:
        return "no effect", said
    return ("differs" if said else "works"), said


def _members(task_type: str, name: str) -> set[str]:
    """Members of an object that the types know."""
    definitions = json_schema()["$defs"]
    described = definitions[TASK_MODELS[task_type].__name__]["properties"][name]
    inner = described.get("items", described)
    if "$ref" in inner:
        inner = definitions[inner["$ref"].rpartition("/")[2]]
    return set(inner.get("properties", ()))


def field_verdict(task_type: str, name: str) -> tuple[str, str]:
    """Whether a result field is sent, and what there is to say of it."""
    said = documented_api()[task_type].get("fields", {}).get(name, "")
    if name not in result_fields(task_type):
        return "absent", said.removeprefix("absent: ")
    return ("differs" if said else "works"), said


def _compatibility() -> str:
    parts, unknown = [], []
    for task_type, documented in documented_api().items():
        if task_type not in TASK_MODELS:
            unknown.append(task_type)
            continue
        parameters = _table(
            ("parameter", "", ""),
            ((_code(name), *verdict(task_type, name)) for name in documented["parameters"]),
        )
        members = [
            (_code(f"{parent}.{member}"), *member_verdict(task_type, parent, member))
            for parent, given in documented.get("members", {}).items()
            for member in given
        ]
        fields = _table(
            ("result field", "", ""),
            ((_code(name), *field_verdict(task_type, name)) for name in documented["results"]),
        )
        of_objects = f"\n\n{_table(('member of an object', '', ''), members)}" if members else ""
        parts.append(f"## {task_type}\n\n{parameters}{of_objects}\n\n{fields}")
    names = ", ".join(map(_code, unknown))
    parts.append(f"## Tasks that are refused\n\nAnswered with `unsupportedTaskType`: {names}.")
    return "\n\n".join(parts)


BLOCKS: Mapping[str, Callable[[], str]] = {
    "settings": _settings,
    "tasks": _tasks,
    "unsupported": _unsupported,
    "ignored": _ignored,
    "errors": _errors,
    "schedulers": _schedulers,
    "families": _families,
    "commands": _commands,
    "metrics": _metrics,
    "models": _models,
    "compatibility": _compatibility,
}


def main() -> int:
    """Write every page that is out of date, and name it."""
    for path in pages():
        page = path.read_text("utf-8")
        rendered = render(page)
        if rendered != page:
            path.write_text(rendered, "utf-8")
            print(f"wrote {path.relative_to(DOCS.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
