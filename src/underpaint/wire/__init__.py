"""The task protocol as types: tasks in, results and errors out. No input or output happens here."""

from underpaint.wire.acceleration import AcceleratorOptions
from underpaint.wire.additions import MAX_ADDITIONS, WeightedModel
from underpaint.wire.air import Air
from underpaint.wire.controlnets import MAX_CONTROLNETS, ControlMode, ControlNet
from underpaint.wire.delivery import DeliveryMethod, OutputFormat, OutputType, PictureTask, PromptWeighting
from underpaint.wire.envelope import frames, http_reply, progress_frames
from underpaint.wire.errors import ERROR_CODES, ErrorCode, TaskError, find_error_code
from underpaint.wire.image_inference import (
    Fit,
    ImageInferenceTask,
    Outpaint,
)
from underpaint.wire.ip_adapters import MAX_GUIDE_IMAGES, MAX_IP_ADAPTERS, IPAdapter
from underpaint.wire.model_search import ModelSearchTask
from underpaint.wire.model_upload import ModelUploadTask
from underpaint.wire.polling import CancelTask, GetResponseTask, GetTaskDetailsTask
from underpaint.wire.preprocess import ControlNetPreprocessTask, PreProcessorType
from underpaint.wire.refiner import Refiner
from underpaint.wire.result_schema import ITEM_TYPES, result_schemas
from underpaint.wire.results import (
    Acknowledgement,
    AuthenticationResult,
    CancelResult,
    FoundModel,
    GuideImageResult,
    ImageResult,
    MediaDeleteResult,
    MediaUploadResult,
    ModelSearchResult,
    ModelUploadStatus,
    PictureProgress,
    Pong,
    ProcessingStatus,
    TaskDetailsResult,
    UploadResult,
)
from underpaint.wire.sampling import BLANK_PROMPT, MAX_PASSES, Pass
from underpaint.wire.schedulers import FLOW_SCHEDULER_NAMES, SCHEDULER_NAMES
from underpaint.wire.schema import json_schema
from underpaint.wire.session import AuthenticationTask, PingTask
from underpaint.wire.tasks import MAX_TASKS, TASK_MODELS, Task, parse_request, parse_task, task_identity
from underpaint.wire.uploads import ImageUploadTask, MediaStorageTask
from underpaint.wire.upscale import UpscaleSettings, UpscaleTask

__all__ = [
    "BLANK_PROMPT",
    "ERROR_CODES",
    "FLOW_SCHEDULER_NAMES",
    "ITEM_TYPES",
    "MAX_ADDITIONS",
    "MAX_CONTROLNETS",
    "MAX_GUIDE_IMAGES",
    "MAX_IP_ADAPTERS",
    "MAX_PASSES",
    "MAX_TASKS",
    "SCHEDULER_NAMES",
    "TASK_MODELS",
    "AcceleratorOptions",
    "Acknowledgement",
    "Air",
    "AuthenticationResult",
    "AuthenticationTask",
    "CancelResult",
    "CancelTask",
    "ControlMode",
    "ControlNet",
    "ControlNetPreprocessTask",
    "DeliveryMethod",
    "ErrorCode",
    "Fit",
    "FoundModel",
    "GetResponseTask",
    "GetTaskDetailsTask",
    "GuideImageResult",
    "IPAdapter",
    "ImageInferenceTask",
    "ImageResult",
    "ImageUploadTask",
    "MediaDeleteResult",
    "MediaStorageTask",
    "MediaUploadResult",
    "ModelSearchResult",
    "ModelSearchTask",
    "ModelUploadStatus",
    "ModelUploadTask",
    "Outpaint",
    "OutputFormat",
    "OutputType",
    "Pass",
    "PictureProgress",
    "PictureTask",
    "PingTask",
    "Pong",
    "PreProcessorType",
    "ProcessingStatus",
    "PromptWeighting",
    "Refiner",
    "Task",
    "TaskDetailsResult",
    "TaskError",
    "UploadResult",
    "UpscaleSettings",
    "UpscaleTask",
    "WeightedModel",
    "find_error_code",
    "frames",
    "http_reply",
    "json_schema",
    "parse_request",
    "parse_task",
    "progress_frames",
    "result_schemas",
    "task_identity",
]
