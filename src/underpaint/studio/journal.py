"""Which tasks were accepted, and what became of them: the part of the studio that outlives a crash.

A task is written here before its acknowledgement leaves. Results refer to pictures by UUID; their bytes are in the
image store. All calls block for as long as the disk takes; the studio makes them from threads.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine, Float, Row, and_, bindparam, delete, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from underpaint.database import results, tasks
from underpaint.prepared import PreparedStatement, Statement
from underpaint.studio.deliveries import Delivery, write_down
from underpaint.transactions import begin, execute

_IS = and_(tasks.c.owner == bindparam("its_owner"), tasks.c.task_uuid == bindparam("its_uuid"))
_DELETE_FAILED = delete(tasks).where(_IS, tasks.c.status == "error")
_INSERT_TASK = PreparedStatement(insert(tasks))
_SELECT_NOT_FAILED = select(tasks.c.task_uuid).where(_IS, tasks.c.status != "error")
_DELETE_RESULT = delete(results).where(
    results.c.owner == bindparam("its_owner"),
    results.c.task_uuid == bindparam("its_uuid"),
    results.c.position == bindparam("its_position"),
)
_INSERT_RESULT = PreparedStatement(insert(results))


def _ends(status: str, at_s: Any) -> dict[str, Any]:
    """Values of a task that is over: from then on its results are kept for as long as it asked for."""
    kept_s = tasks.c.expires_s - tasks.c.created_s
    return {"status": status, "finished_s": at_s, "expires_s": at_s + kept_s}


_SET_SUCCESS = PreparedStatement(
    update(tasks).where(_IS).values(_ends("success", bindparam("finished", type_=Float)))
)

FORGOTTEN_AT_ONCE = 200
"""Most tasks that one transaction forgets: for as long as it takes, nobody else can write."""
_FORGETTING_PAUSE_S = 0.01
"""Between two of these. A lock has no queue: without a pause, the thread that gave it up mostly gets it again."""
_EXPIRED = (
    select(tasks.c.owner, tasks.c.task_uuid)
    # Not `in_`: for that SQLite would look through all that have ended, and not through those that have expired.
    .where(tasks.c.status != "accepted", tasks.c.expires_s < bindparam("now"))
    .order_by(tasks.c.expires_s)
    .limit(FORGOTTEN_AT_ONCE)
)
_FORGET_EXPIRED = (
    delete(tasks)
    .where(tuple_(tasks.c.owner, tasks.c.task_uuid).in_(_EXPIRED))
    .returning(tasks.c.owner, tasks.c.task_uuid)
)
_FORGET_RESULTS = delete(results).where(
    results.c.owner == bindparam("its_owner"), results.c.task_uuid == bindparam("its_uuid")
)

TaskStatus = Literal["accepted", "success", "error"]


@dataclass(frozen=True, kw_only=True)
class ResultRecord:
    """One picture that a task made."""

    image_uuid: str
    extension: str
    seed: int
    steps_run: int
    position: int = 0
    """Among the results of its task."""
    unsafe: bool | None = None
    """What the safety check said; None where none was asked for."""


@dataclass(frozen=True, kw_only=True)
class TaskRecord:
    """A task as the journal has it."""

    owner: str
    task_uuid: str
    task_type: str
    request: Mapping[str, Any]
    """The task as it was sent, but with the UUIDs of stored pictures in place of those that it brought. Its seed image
    is stored as it came."""
    base_url: str
    asynchronous: bool
    seed: int
    """The request's seed, or the one that was drawn for it, so that running it again gives the same pictures."""
    expires_s: float
    """Unix time from which on the record may be forgotten. It moves by how long the task takes to end."""
    status: TaskStatus = "accepted"
    attempts: int = 1
    """How often it was begun, across restarts."""
    error: Mapping[str, Any] | None = None
    error_status: int | None = None
    results: tuple[ResultRecord, ...] = ()


class Journal:
    """Accepted tasks and their results, in the database."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self.when_due: Callable[[], None] = lambda: None
        """Called, from any thread, after something was written down that is to be sent."""

    def accept(self, task: TaskRecord, *, along: Sequence[Statement] = ()) -> bool:
        """Write a task down; False if its owner has one of that UUID already that has not failed.

        A task that failed may be sent again under its UUID: clients repeat a task so after an error. An asynchronous
        one is on the disk when this returns. A synchronous one has no acknowledgement that would promise so much: it
        survives the end of the process at once, and a power cut a little later.

        Args:
            task: the task.
            along: what is written together with it, if it is written.
        """
        # Only what is there already can be in the way: it is not looked for first.
        # The one that had failed may be forgotten in between, as its time is over.
        return any(self._enter(task, along, again=again) for again in (False, True, False))

    def _enter(self, task: TaskRecord, along: Sequence[Statement], *, again: bool) -> bool:
        """Write a task down, `again` in place of one that has failed; False if there is one of its UUID."""
        try:
            with begin(self._database, flush=task.asynchronous) as connection:
                if again:
                    key = {"its_owner": task.owner, "its_uuid": task.task_uuid}
                    if not connection.execute(_DELETE_FAILED, key).rowcount:
                        return False
                    connection.execute(delete(results).where(_result_of(task.owner, task.task_uuid)))
                _INSERT_TASK.run(
                    connection,
                    {
                        "owner": task.owner,
                        "task_uuid": task.task_uuid,
                        "task_type": task.task_type,
                        "request": dict(task.request),
                        "base_url": task.base_url,
                        "asynchronous": task.asynchronous,
                        "seed": task.seed,
                        "status": task.status,
                        "attempts": task.attempts,
                        "created_s": time.time(),
                        "expires_s": task.expires_s,
                    },
                )
                for statement, values in along:
                    statement.run(connection, values)
        except IntegrityError:
            return False
        return True

    def has(self, owner: str, task_uuid: str) -> bool:
        """Whether a task of that UUID would be refused by `accept`."""
        with self._database.connect() as connection:
            found = connection.execute(_SELECT_NOT_FAILED, {"its_owner": owner, "its_uuid": task_uuid})
            return found.first() is not None

    def begin_again(self, task: TaskRecord) -> None:
        """Count another attempt."""
        self._update(task, attempts=task.attempts + 1)

    def begun_in_vain(self, task: TaskRecord) -> None:
        """Take the latest attempt back."""
        self._update(task, attempts=tasks.c.attempts - 1)

    def add_result(
        self,
        task: TaskRecord,
        position: int,
        result: ResultRecord,
        *,
        due: Sequence[Delivery] = (),
        along: Sequence[Statement] = (),
        last: bool = False,
    ) -> None:
        """Write down a picture; one written before at that position, in an earlier attempt, gives way.

        Args:
            task: whose picture it is.
            position: among the results of the task.
            result: the picture.
            due: what is to be sent because of it.
            along: what else is written together with it.
            last: whether the task is a success with it, as `succeed` writes down.
        """
        written = (result, due, along, last)
        try:
            self._write_result(task, position, *written, again=False)
        except IntegrityError:
            self._write_result(task, position, *written, again=True)
        if due:
            self.when_due()

    def _write_result(
        self,
        task: TaskRecord,
        position: int,
        result: ResultRecord,
        due: Sequence[Delivery],
        along: Sequence[Statement],
        last: bool,
        *,
        again: bool,
    ) -> None:
        """Write down a picture, `again` in place of an earlier attempt's, which is seldom there to be looked for."""
        key = {"its_owner": task.owner, "its_uuid": task.task_uuid}
        with begin(self._database) as connection:
            if again:
                connection.execute(_DELETE_RESULT, {**key, "its_position": position})
            _INSERT_RESULT.run(
                connection,
                {
                    "owner": task.owner,
                    "task_uuid": task.task_uuid,
                    "position": position,
                    "item": {
                        "imageUUID": result.image_uuid,
                        "extension": result.extension,
                        "seed": result.seed,
                        "stepsRun": result.steps_run,
                        "unsafe": result.unsafe,
                    },
                    "created_s": time.time(),
                },
            )
            for statement, values in along:
                statement.run(connection, values)
            if last:
                _SET_SUCCESS.run(connection, {**key, "finished": time.time()})
            write_down(connection, due)

    def succeed(self, task: TaskRecord) -> None:
        """All its results are there."""
        self._update(task, **_ends("success", time.time()))

    def fail(
        self,
        task: TaskRecord,
        error: Mapping[str, Any],
        *,
        status_code: int,
        due: Sequence[Delivery] = (),
    ) -> None:
        """It ends with an error, in wire form, of which something may be to be sent. Results that it has stay."""
        ended = update(tasks).where(_is(task.owner, task.task_uuid))
        with begin(self._database) as connection:
            connection.execute(
                ended.values(error=dict(error), error_status=status_code, **_ends("error", time.time()))
            )
            write_down(connection, due)
        if due:
            self.when_due()

    def find(self, owner: str, task_uuid: str) -> TaskRecord | None:
        """A task with its results so far, or None."""
        found = self._select(_is(owner, task_uuid))
        return found[0] if found else None

    def unfinished(self) -> list[TaskRecord]:
        """Tasks that were accepted and have no outcome, oldest first."""
        return self._select(tasks.c.status == "accepted")

    def forget_expired(self) -> None:
        """Drop finished tasks whose time is over, which after a power cut may be there again."""
        now_s = time.time()
        while self._forget_some(now_s):
            time.sleep(_FORGETTING_PAUSE_S)

    def _forget_some(self, now_s: float) -> bool:
        """Drop some of those that had expired by then, in a transaction of its own; whether there may be more."""
        with begin(self._database, flush=False) as connection:
            gone = connection.execute(_FORGET_EXPIRED, {"now": now_s}).all()
            if gone:
                keys = [{"its_owner": owner, "its_uuid": task_uuid} for owner, task_uuid in gone]
                connection.execute(_FORGET_RESULTS, keys)
        return len(gone) == FORGOTTEN_AT_ONCE

    def _update(self, task: TaskRecord, **values: Any) -> None:
        execute(self._database, update(tasks).where(_is(task.owner, task.task_uuid)).values(**values))

    def _select(self, condition: Any) -> list[TaskRecord]:
        with self._database.connect() as connection:
            found = []
            for row in connection.execute(select(tasks).where(condition).order_by(tasks.c.created_s)).all():
                mine = select(results.c.item, results.c.position).where(_result_of(row.owner, row.task_uuid))
                items = connection.execute(mine.order_by(results.c.position)).all()
                found.append(_record(row, [(item, position) for item, position in items]))
            return found


def _is(owner: str, task_uuid: str) -> Any:
    return and_(tasks.c.owner == owner, tasks.c.task_uuid == task_uuid)


def _result_of(owner: str, task_uuid: str) -> Any:
    return and_(results.c.owner == owner, results.c.task_uuid == task_uuid)


def _record(row: Row[Any], items: Sequence[tuple[Mapping[str, Any], int]]) -> TaskRecord:
    return TaskRecord(
        owner=row.owner,
        task_uuid=row.task_uuid,
        task_type=row.task_type,
        request=row.request,
        base_url=row.base_url,
        asynchronous=row.asynchronous,
        seed=row.seed,
        expires_s=row.expires_s,
        status=row.status,
        attempts=row.attempts,
        error=row.error,
        error_status=row.error_status,
        results=tuple(
            ResultRecord(
                image_uuid=item["imageUUID"],
                extension=item["extension"],
                seed=item["seed"],
                steps_run=item["stepsRun"],
                position=position,
                # Older versions wrote down no such thing.
                unsafe=item.get("unsafe"),
            )
            for item, position in items
        ),
    )
