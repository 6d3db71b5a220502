"""MLServer's model: ONNX Runtime on the tensors that its codec reads."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.servers.programs.session import open_session


class OnnxModel(MLModel):  # type: ignore[misc]  # untyped here, where MLServer is not installed
    """One ONNX file."""

    async def load(self) -> bool:
        """Load the file that the settings name."""
        self._session = open_session(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Run the model on one tensor."""
        entry = payload.inputs[0]
        array = NumpyCodec.decode_input(entry).astype(np.float32, copy=False)
        output = self._session.run(None, {entry.name: array})[0]
        return InferenceResponse(
            id=payload.id, model_name=self.name, outputs=[NumpyCodec.encode_output("y", output)]
        )
