"""How much work the studio takes on: of everybody together, and of each caller."""

from underpaint.studio.caller import Caller
from underpaint.wire import TaskError


class Place:
    """What one task takes up, from before its pictures are read until it has its outcome."""

    def __init__(self, room: "Room", owner: str, *, results: int, pixels_each: int) -> None:
        self._room = room
        self.owner = owner
        self.results = results
        self.pixels_each = pixels_each

    def result_done(self) -> None:
        """Give up what one result takes up."""
        self.results = max(0, self.results - 1)

    def leave(self) -> None:
        """Give up the rest. May be called again."""
        self._room.places.discard(self)


class Room:
    """The places that are taken. A place is taken before anything is done for a task, so that tasks which come at the
    same time cannot exceed the bounds together.

    Args:
        results: most results that may be unfinished at once.
    """

    def __init__(self, *, results: int) -> None:
        self._results = results
        self.places: set[Place] = set()

    @property
    def pixels(self) -> int:
        """Of all results that are unfinished."""
        return sum(place.results * place.pixels_each for place in self.places)

    def claim(self, owner: str, *, results: int, pixels_each: int) -> Place:
        """A place for a task that must go on, whatever the bounds are."""
        place = Place(self, owner, results=results, pixels_each=pixels_each)
        self.places.add(place)
        return place

    def enter(self, caller: Caller, *, results: int, pixels_each: int) -> Place:
        """A place for a new task.

        Raises:
            TaskError: `rateLimitExceeded` when there will be room later, `valueTooLarge` when there never will.
        """
        pixels, limits = results * pixels_each, caller.limits
        if limits.queued_pixels is not None and pixels > limits.queued_pixels:
            raise TaskError(
                "valueTooLarge",
                f"the task asks for {pixels} pixels; this key may have {limits.queued_pixels} in the queue",
                parameter=["width", "height", "numberResults"],
            )
        if sum(place.results for place in self.places) + results > self._results:
            raise TaskError("rateLimitExceeded", "the queue is full; try again later")
        own = [place for place in self.places if place.owner == caller.owner]
        if limits.queued_tasks is not None and len(own) >= limits.queued_tasks:
            raise TaskError(
                "rateLimitExceeded",
                f"this key has {len(own)} unfinished tasks and may have {limits.queued_tasks}; try again later",
            )
        taken = sum(place.results * place.pixels_each for place in own)
        if limits.queued_pixels is not None and taken + pixels > limits.queued_pixels:
            raise TaskError(
                "rateLimitExceeded",
                f"this key has {taken} pixels in the queue and may have {limits.queued_pixels}; try again later",
            )
        return self.claim(caller.owner, results=results, pixels_each=pixels_each)
