"""checkNSFW and `safety`: whether a task's pictures are to be looked at, and by what."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from underpaint.catalog.download import DownloadFailed
from underpaint.catalog.errors import ModelRefused
from underpaint.catalog.safety_checkers import is_on_this_machine, safety_checker
from underpaint.engine.messages import SafetyCheck
from underpaint.settings import Settings
from underpaint.studio.downloads import Downloads
from underpaint.wire import ImageInferenceTask, TaskError

log = logging.getLogger(__name__)


class Safety:
    """The safety checker of the settings, found when a task first asks for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._check: SafetyCheck | None = None
        self._downloads = Downloads()

    async def look_ahead(self) -> None:
        """Say at the start what is wrong with a checker that is on this machine. Others are not downloaded for that."""
        name = self._settings.safety_model
        if name is not None and is_on_this_machine(name):
            try:
                await self._found(name)
            except ModelRefused as refusal:
                log.error(
                    "the safety checker cannot be used, and tasks that ask for it are refused: %s", refusal
                )

    async def wanted(self, task: ImageInferenceTask, request: Mapping[str, Any]) -> SafetyCheck | None:
        """How the pictures of a task are judged; None where that is not asked for, or is skipped by setting.

        Args:
            task: what is asked for.
            request: the same as JSON, which tells by what name it is asked for.

        Raises:
            TaskError: it is asked for, and there is no checker. It is never taken for a picture that is safe.
        """
        if not task.check_nsfw:
            return None
        parameter = _asked_by(request)
        if self._settings.safety_model is None:
            if self._settings.skip_nsfw_check:
                return None
            raise TaskError(
                "unsupportedParameter",
                f"'{parameter}' is not supported by this server: it has no safety checker. Its setting safety_model "
                "names one; with skip_nsfw_check it runs such tasks unchecked.",
                parameter=parameter,
            )
        try:
            return await self._found(self._settings.safety_model)
        except DownloadFailed as failure:
            raise TaskError("modelNotReady", f"'{parameter}': {failure}", parameter=parameter) from None
        except ModelRefused as refusal:
            log.error("the safety checker cannot be used: %s", refusal)
            raise TaskError(
                "modelNotReady",
                f"'{parameter}': the safety checker of this server cannot be used; its log says why.",
                parameter=parameter,
            ) from None

    async def _found(self, name: str) -> SafetyCheck:
        if self._check is None:
            look_up = partial(safety_checker, name, unsafe_labels=self._settings.safety_labels)
            files = await self._downloads.get(name, look_up)
            self._check = SafetyCheck(
                location=files.folder,
                unsafe_labels=files.unsafe_labels,
                threshold=self._settings.safety_threshold,
            )
        return self._check


def _asked_by(request: Mapping[str, Any]) -> str:
    """The parameter that switches the check on, as the task's parser reads them."""
    safety = request.get("safety")
    if isinstance(safety, Mapping):
        if safety.get("mode") is not None:
            return "safety.mode"
        if safety.get("checkContent"):
            return "safety.checkContent"
    return "checkNSFW"
