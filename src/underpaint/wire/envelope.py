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
    single item is
    larger than that: an item cannot be divided.
    """
    data_frames: list[dict[str, object]] = [{"data": part} for part in _parts(data, max_bytes)]
    error_frames: list[dict[str, object]] = [{"errors": part} for part in _parts(errors, max_bytes)]
    return data_frames + error_frames


def _parts(items: Iterable[Item], max_bytes: int) -> Iterator[list[Item]]:
    part: list[Item] = []
    size = envelope_size = len('{"errors": []}')
    for item in items:
        # ASCII escapes and spaced separators are the longest form any JSON writer gives.
        item_size = len(json.dumps(item)) + len(", ")
        if part and size + item_size > max_bytes:
            yield part
            part, size = [], envelope_size
        part.append(item)
        size += item_size
    if part:
        yield part
