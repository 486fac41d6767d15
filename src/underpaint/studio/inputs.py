"""What a task is run again from after a crash: its request in the journal, and its pictures as files."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image

from underpaint.images import encode_image
from underpaint.images.containers import ImageFormat, sniff_format
from underpaint.studio.journal import Journal, TaskRecord
from underpaint.studio.pictures import Pictures, PutImage
from underpaint.studio.preparing import Prepared

SEED_EXTENSIONS: dict[ImageFormat, str] = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}
_PICTURES = ("seedImage", "maskImage", "referenceImages", "inputs")
"""Parameters that hold pictures: they are kept as files, under UUIDs."""
LONGEST_WAIT_S = 7 * 24 * 3600.0
"""What a task is run again from is kept for so long at least: results may be wanted for a minute only, and the queue
takes longer. It goes when the task is over; the time is for what a power cut brings back."""
_KEPT = ("seedImage", "maskImage")
"""Parameters of a kept request that name such files."""


def without_pictures(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A task as JSON gave it, without its pictures, which may be megabytes of base64."""
    return {name: value for name, value in raw.items() if name not in _PICTURES}


class Inputs:
    """Keeps what tasks are run again from, until they are over."""

    def __init__(self, *, journal: Journal, pictures: Pictures) -> None:
        self._journal = journal
        self._pictures = pictures

    def write_down(self, record: TaskRecord, prepared: Prepared) -> TaskRecord | None:
        """Enter a task into the journal, with the pictures that it brought as they came, and the mask at
        its final size. Blocks.

        Returns:
            The task as the journal has it; None if it has another of that UUID.
        """
        files: dict[str, bytes] = {}
        # The picture of an upscale is kept already.
        if prepared.seed_file is not None and "inputImage" not in record.request:
            files["seedImage"] = prepared.seed_file
        if prepared.mask is not None and "outpaint" not in record.request:
            files["maskImage"] = encode_image(Image.fromarray(prepared.mask), format="PNG")
        puts: list[PutImage] = []

        def put(data: bytes) -> PutImage:
            puts.append(self._put(data, record))
            return puts[-1]

        accepted = False
        try:
            kept = {name: put(data) for name, data in files.items()}
            guides = [[put(data) for data in guide_files] for guide_files in prepared.guide_files]
            request = {**record.request, **{name: each.image_uuid for name, each in kept.items()}}
            if guides:
                request["ipAdapters"] = _with_guides(record.request["ipAdapters"], guides)
            if prepared.reference_files:
                request["referenceImages"] = [put(data).image_uuid for data in prepared.reference_files]
            if prepared.map_files:
                request["controlNet"] = [
                    {**controlnet, "guideImage": put(data).image_uuid}
                    for controlnet, data in zip(record.request["controlNet"], prepared.map_files, strict=True)
                ]
            entered = replace(record, request=request)
            accepted = self._journal.accept(
                entered, along=[record for each in puts for record in each.records]
            )
        finally:
            if not accepted:
                for each in puts:
                    self._pictures.take_back(each)
        return entered if accepted else None

    def discard(self, *records: TaskRecord) -> None:
        """Remove the pictures of tasks that are over. Blocks."""
        names: list[str] = []
        for record in records:
            names += [record.request[name] for name in _KEPT if name in record.request]
            names += record.request.get("referenceImages") or ()
            for adapter in record.request.get("ipAdapters") or ():
                names += adapter["guideImages"]
            names += [controlnet["guideImage"] for controlnet in record.request.get("controlNet") or ()]
        self._pictures.discard_seeds(names)

    def _put(self, data: bytes, record: TaskRecord) -> PutImage:
        format = sniff_format(data)
        assert format is not None, "it has been decoded"
        return self._pictures.put(
            data,
            extension=SEED_EXTENSIONS[format],
            kind="seed",
            # Not looked up: nobody is ever told about this picture.
            size=(0, 0),
            owner=record.owner,
            ttl_s=max(LONGEST_WAIT_S, record.expires_s - time.time()),
            flush=record.asynchronous,
        )


def _with_guides(
    adapters: Sequence[Mapping[str, Any]], guides: Sequence[Sequence[PutImage]]
) -> list[dict[str, Any]]:
    """The IP-Adapters of a request, with kept files in place of their pictures."""
    return [
        {
            **{name: value for name, value in adapter.items() if name != "guideImage"},
            "guideImages": [put.image_uuid for put in puts],
        }
        for adapter, puts in zip(adapters, guides, strict=True)
    ]
