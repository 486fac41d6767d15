"""What each owner has had of the engine, so that one with a hundred jobs does not keep out one with a single job."""

from collections.abc import Iterable, Mapping


class Shares:
    """Passes served by owner, among the owners that have jobs."""

    def __init__(self) -> None:
        self._served: dict[str, float] = {}

    def debts(self, owners: Iterable[str]) -> dict[str, float]:
        """How many passes each of these owners has had more than the one of them that has had the fewest.

        Owners that are not named have no jobs left, and are forgotten; one that comes (again) starts level with the one
        that has had the fewest, so that idling earns nothing.
        """
        present = {owner: self._served[owner] for owner in owners if owner in self._served}
        fewest = min(present.values(), default=0.0)
        self._served = {owner: present.get(owner, fewest) - fewest for owner in owners}
        return dict(self._served)

    def charge(self, rows_of_owners: Mapping[str, int]) -> None:
        """Count one pass, in which each owner had so many rows."""
        total = sum(rows_of_owners.values())
        for owner, rows in rows_of_owners.items():
            self._served[owner] = self._served.get(owner, 0.0) + rows / total
