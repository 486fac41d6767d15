"""Writes the generated parts of the documentation anew: `make docs`.

A page holds prose, and blocks between `<!-- generated: NAME -->` and `<!-- end -->`, which come from the code:
settings, tasks, errors, commands, the library, metrics, models. `tests/test_docs.py` fails when a block is out of date.
"""

import ast
import dataclasses
import functools
import inspect
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

import underpaint
from underpaint.catalog import ModelEntry
from underpaint.catalog.embedded_entry import ALWAYS_THERE
from underpaint.catalog.known import KNOWN
from underpaint.cli.main import app
from underpaint.cli.options import ALL_SETTINGS
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
                _values(field),
                "the platform's folder for data" if name == "data_dir" else shown,
                str(field.description),
            )
        )
    return _table(("setting", "option", "environment", "values", "default", "meaning"), rows)


def _values(field: FieldInfo) -> str:
    """What a setting may be set to, in words."""
    kind = next(each for each in get_args(field.annotation) or (field.annotation,) if each is not type(None))
    origin = get_origin(field.annotation)
    if origin is Literal:
        return ", ".join(map(_code, get_args(field.annotation)))
    if origin in (dict, tuple):
        return "table" if origin is dict else "list"
    if kind is bool:
        return "`true`, `false`"
    if kind not in (int, float):
        return "path" if kind is Path else "text"
    words = "whole number" if kind is int else "number"
    bounds = {type(each): each for each in field.metadata}
    least, above = bounds.get(annotated_types.Ge), bounds.get(annotated_types.Gt)
    most = bounds.get(annotated_types.Le)
    words += f" from {least.ge}" if least else f" above {above.gt}" if above else ""
    return words + (f" to {most.le}" if most else "")


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
    if isinstance(default, dict):
        # Each member has its own.
        return ""
    if isinstance(default, list):
        default = ", ".join(default)
    return _code(str(default).lower() if isinstance(default, bool) else default)


def _tasks() -> str:
    parts = []
    for task_type, model in TASK_MODELS.items():
        definition = definitions()[model.__name__]
        required = definition["required"]
        properties: dict[str, Any] = {}
        for name, described in definition["properties"].items():
            properties[name] = described
            # What an object holds, or the objects of a list, comes after it.
            prefix = f"{name}[]" if "items" in described else name
            inner = _resolved(described.get("items", described)).get("properties", {})
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


@functools.cache
def definitions() -> Mapping[str, Any]:
    """JSON Schema of every task and of what is in it, by name."""
    found: Mapping[str, Any] = json_schema()["$defs"]
    return found


def _resolved(described: Mapping[str, Any]) -> Mapping[str, Any]:
    """A definition in place of a reference to it."""
    reference = described.get("$ref")
    return described if reference is None else definitions()[reference.rpartition("/")[2]]


def _unsupported() -> str:
    return _without_effect(
        (
            (task_type, name, reason)
            for task_type, model in TASK_MODELS.items()
            for name, reason in model.unsupported.items()
        ),
        "refused",
    )


def _ignored() -> str:
    return _without_effect(
        (
            (task_type, name, reason)
            for task_type, model in TASK_MODELS.items()
            for name, reason in model.ignored.items()
        ),
        "no effect",
    )


def _without_effect(parameters: Iterable[tuple[str, str, str]], word: str) -> str:
    """Parameters that are not acted upon, with the tasks in which that is so, and members of objects of which the types
    say the same.

    Args:
        parameters: task type, name and reason.
        word: what the types say.
    """
    tasks: dict[tuple[str, str], list[str]] = {}
    for task_type, name, reason in [*parameters, *_members_without_effect(word)]:
        tasks.setdefault((name, reason), []).append(task_type)
    rows: dict[tuple[str, str], list[str]] = {}
    for (name, reason), where in tasks.items():
        rows.setdefault((_in_words(where), reason), []).append(_code(name))
    return _table(
        ("parameter", "in", "because"),
        ((", ".join(names), where, reason) for (where, reason), names in rows.items()),
    )


def _members_without_effect(word: str) -> Iterator[tuple[str, str, str]]:
    """Members of objects, each with the task and the reason."""
    for task_type, documented in documented_api().items():
        for parent, given in documented.get("members", {}).items():
            for member in given:
                found, said = member_verdict(task_type, parent, member)
                if found == word:
                    yield task_type, f"{parent}.{member}", said.removesuffix(".")


def _in_words(task_types: Sequence[str]) -> str:
    """Some of the tasks, or all but some."""
    others = [each for each in TASK_MODELS if each not in task_types]
    if not others:
        return "every task"
    named = others if len(others) < len(task_types) else task_types
    words = " and ".join([", ".join(named[:-1]), named[-1]]) if len(named) > 1 else named[0]
    return f"every task but {words}" if named is others else words


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
    # They have a page of their own.
    text = re.sub(
        r"(?<=^\*\*Settings\*\*:\n\n)[^*].*\n\n(?:\* `--.*\n)+", _settings_of, text, flags=re.MULTILINE
    )
    data_dir = Settings.model_fields["data_dir"].get_default(call_default_factory=True, validated_data={})
    return text.replace(str(data_dir), "the platform's folder for data")


def _settings_of(block: re.Match[str]) -> str:
    """The settings that a command takes: one by one, or in a word where it takes all."""
    return block[0] if block[0].count("\n* `--") < len(ALL_SETTINGS) else "All [settings](settings.md).\n"


def _library() -> str:
    return "\n\n".join(
        [
            _function(underpaint.transform),
            f"## Painter\n\n{_paragraphs(inspect.getdoc(underpaint.Painter))}\n\n"
            "`Painter(settings=None)`; by default the settings are those of environment and file.",
            _function(underpaint.Painter.transform),
            _function(underpaint.Painter.transform_many),
            _value(underpaint.Transformed),
            _function(underpaint.Transformed.save),
            *map(_value, (underpaint.Guide, underpaint.Control, underpaint.Progress)),
            f"## TransformFailed\n\n{_paragraphs(inspect.getdoc(underpaint.TransformFailed))}",
        ]
    )


def _function(function: Callable[..., Any]) -> str:
    """A function's docstring: its summary, and its arguments as a table."""
    text, *rest = re.split(r"^(Args|Returns|Raises):\n", inspect.getdoc(function) or "", flags=re.MULTILINE)
    sections = dict(zip(rest[::2], map(textwrap.dedent, rest[1::2]), strict=True))
    parameters = inspect.signature(function).parameters
    node = _node(function)
    annotations = {
        each.arg: each.annotation for each in (*node.args.args, *node.args.kwonlyargs) if each.annotation
    }
    rows = []
    for name, meaning in _described(sections.get("Args", "")):
        default = parameters[name.lstrip("*")].default
        annotation = annotations.get(name)
        rows.append(
            (
                _code(name),
                "" if annotation is None else _python_type(annotation, function.__globals__),
                "" if default in (inspect.Parameter.empty, None, ()) else _literal(default),
                meaning,
            )
        )
    is_method = "." in function.__qualname__
    parts = [f"{'###' if is_method else '##'} {function.__qualname__}", _paragraphs(text)]
    if rows:
        parts.append(_table(("argument", "type", "default", "meaning"), rows))
    else:
        # Its arguments say what they are by their names.
        written = re.sub(r"(: [^,=]+)=", r"\1 = ", ast.unparse(_without_self(node.args)))
        parts.insert(1, _code(f"{function.__qualname__}({written})"))
    if "Returns" in sections:
        parts.append(f"**Returns** {_paragraphs(sections['Returns'])}")
    if "Raises" in sections:
        parts.append(
            "**Raises**\n\n"
            + "\n".join(f"- `{name}`: {meaning}" for name, meaning in _described(sections["Raises"]))
        )
    return "\n\n".join(parts)


def _without_self(arguments: ast.arguments) -> ast.arguments:
    arguments.args = [each for each in arguments.args if each.arg != "self"]
    return arguments


def _value(value: type[Any]) -> str:
    """A dataclass: its docstring, and its fields with the strings below them."""
    body = _node(value).body
    rows = []
    for statement, below in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            said = (
                below.value.value
                if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
                else ""
            )
            name = statement.target.id
            default = value.__dataclass_fields__[name].default
            rows.append(
                (
                    _code(name),
                    _python_type(statement.annotation, vars(sys.modules[value.__module__])),
                    "" if default is dataclasses.MISSING else _literal(default),
                    " ".join(str(said).split()),
                )
            )
    fields = _table(("field", "type", "default", "meaning"), rows)
    return f"## {value.__name__}\n\n{_paragraphs(inspect.getdoc(value))}\n\n{fields}"


def _node(described: Any) -> Any:
    """The definition of a function or class in its source."""
    return ast.parse(textwrap.dedent(inspect.getsource(described))).body[0]


def _paragraphs(text: str | None) -> str:
    """A docstring's text, a line for each paragraph."""
    return "\n\n".join(" ".join(part.split()) for part in (text or "").strip().split("\n\n"))


def _described(section: str) -> list[tuple[str, str]]:
    """Names and what is said of each, of a section of a docstring."""
    found = re.findall(r"^(\S[^:]*): (.*(?:\n .*)*)", section, re.MULTILINE)
    return [(name, " ".join(meaning.split())) for name, meaning in found]


def _python_type(annotation: ast.expr, names: Mapping[str, Any]) -> str:
    """An annotation as it is written, but for choices, which are listed."""
    if isinstance(annotation, ast.BinOp):
        return f"{_python_type(annotation.left, names)} or {_python_type(annotation.right, names)}"
    choices: tuple[object, ...] = ()
    if isinstance(annotation, ast.Name):
        choices = get_args(names.get(annotation.id))
    elif isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        choices = ast.literal_eval(annotation.slice)
    if choices and all(isinstance(each, str) for each in choices):
        return ", ".join(map(_literal, choices))
    return _code(ast.unparse(annotation))


def _literal(value: object) -> str:
    """As a program writes it."""
    return _code(repr(value).replace("'", '"'))


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
    documented = tomllib.loads((DOCS / "compatibility.toml").read_text("utf-8"))
    for task in documented.values():
        said = ""
        for name, note in task.get("notes", {}).items():
            # Their order is not that of the members.
            said = task["notes"][name] = said if note == "likewise" else note
    return documented


def verdict(task_type: str, name: str) -> tuple[str, str]:
    """What becomes of a documented parameter of a task that this server knows: a word, and what there is to say."""
    model = TASK_MODELS[task_type]
    definition = definitions()[model.__name__]
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
    described = definitions()[TASK_MODELS[task_type].__name__]["properties"][name]
    return set(_resolved(described.get("items", described)).get("properties", ()))


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
    "library": _library,
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
