"""The objects that carry result items and error items to a client, over HTTP and over the WebSocket."""

import json
from collections.abc import Iterable, Iterator

Item = dict[str, object]


def http_reply(data: list[Item], errors: list[tuple[int, Item]]) -> tuple[int, dict[str, object]]:
    """Status code and body of the reply to one POST.

    Clients tell failure from success by the mere presence of `errors` and `error`, so a successful reply has
    neither. A reply without any success has both: `errors` is what the API documents, `error` the one that
    `@runware/ai-sdk-provider` can read.

    Args:
        data: result items of all tasks of the request.
        errors: for each error its HTTP status code and its item, in the order of the tasks.

    Returns:
        200 as soon as there is one result, otherwise the status code of the first error; and the body.
    """
    error_items = [item for _, item in errors]
    if errors and not data:
        status_code, first = errors[0]
        return status_code, {"data": [], "errors": error_items, "error": first}
    if errors:
        return 200, {"data": data, "errors": error_items}
    return 200, {"data": data}


def frames(data: list[Item], errors: list[Item], max_bytes: int = 900_000) -> list[dict[str, object]]:
    """WebSocket frames for the results and errors of one task.

    Results and errors never share a frame, because clients that see `errors` do not look at `data`. A frame
    stays under `max_bytes` (clients built on Python's `websockets` drop the connection at 1 MiB), unless a
    single item is larger than that: an item cannot be divided.
    """
    return [*_frames("data", data, max_bytes), *_frames("errors", errors, max_bytes)]


def progress_frames(items: list[Item], max_bytes: int = 900_000) -> list[dict[str, object]]:
    """WebSocket frames for how far a task is, an extension for clients that ask for it.

    They have a key of their own, and neither `data` nor `errors`: the official clients route by these two alone,
    and so pass over such a frame.
    """
    return list(_frames("progress", items, max_bytes))


def _frames(name: str, items: Iterable[Item], max_bytes: int) -> Iterator[dict[str, object]]:
    part: list[Item] = []
    size = envelope_size = len(json.dumps({name: []}))
    for item in items:
        # ASCII escapes and spaced separators are the longest form any JSON writer gives.
        item_size = len(json.dumps(item)) + len(", ")
        if part and size + item_size > max_bytes:
            yield {name: part}
            part, size = [], envelope_size
        part.append(item)
        size += item_size
    if part:
        yield {name: part}
