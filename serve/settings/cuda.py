"""Settings: CUDA."""

from typing import Annotated, ClassVar

from pydantic import Field

from serve.settings.topic import Topic


class CudaSettings(Topic):
    """What one GPU of NVIDIA may do."""

    panel: ClassVar[str] = "CUDA"

    cuda_device: Annotated[int, Field(ge=0, le=1024, description="Index of the GPU.")] = 0
    cuda_memory_limit_mib: Annotated[
        int, Field(ge=0, description="Maximum GPU memory of each version, in MiB; 0 for no limit.")
    ] = 0
    cuda_tf32: Annotated[
        bool, Field(description="Let the GPU multiply in TF32, with 10 bits of mantissa.")
    ] = False
    cuda_graph_rows: Annotated[
        str,
        Field(
            pattern=r"^([1-9][0-9]{0,4}(,[1-9][0-9]{0,4}){0,15})?$",
            description="Batch sizes to record as CUDA graphs, such as 1,8,32.",
        ),
    ] = ""
