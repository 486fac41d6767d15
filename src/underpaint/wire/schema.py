"""The tasks as JSON Schema, for the documentation and the OpenAPI document."""

from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter

from underpaint.wire.tasks import MAX_TASKS, Task


def json_schema(ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
    """JSON Schema of a request body: an array of tasks, told apart by `taskType`.

    Args:
        ref_template: how one definition refers to another; OpenAPI wants "#/components/schemas/{model}".
    """
    tasks = Annotated[
        list[Annotated[Task, Field(discriminator="task_type")]], Field(min_length=1, max_length=MAX_TASKS)
    ]
    schema: dict[str, Any] = TypeAdapter[Any](tasks).json_schema(by_alias=True, ref_template=ref_template)
    for definition in schema["$defs"].values():
        _simplify(definition)
    for model in get_args(Task):
        # The default is a convenience of the Python types; on the wire the type is what tells tasks apart.
        definition = schema["$defs"][model.__name__]
        del definition["properties"]["taskType"]["default"]
        definition["required"] = ["taskType", *definition.get("required", [])]
    return schema


def _simplify(definition: dict[str, Any]) -> None:
    """Say of an object what matters on the wire: no titles, no nulls, and the summary of its documentation."""
    definition["description"] = definition["description"].partition("\n\n")[0]
    properties = definition["properties"]
    for name, described in properties.items():
        described.pop("title", None)
        if "anyOf" in described:
            present, _null = described.pop("anyOf")
            del described["default"]
            properties[name] = {**present, **described}
        if isinstance(default := described.get("default"), dict):
            described["default"] = {key: value for key, value in default.items() if value is not None}
