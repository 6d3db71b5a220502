"""Providers in libraries of their own, which are loaded into a process once."""

import os
import threading
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from adaptact.errors import ProviderError
from adaptact.installation import install_line
from adaptact.providers.provider import Options, Ort, Provider
from adaptact.text import first_line

_LOADING = threading.Lock()


class PlugInProvider(Provider):
    """A provider whose library a package brings, or the variable that `library_variable` names."""

    module: ClassVar[str]
    """The package's module: its `get_library_path` says where the library is."""

    @property
    def library_variable(self) -> str:
        """The environment variable with the path of the library to load instead of the package's."""
        return f"ADAPTACT_{self.name.upper().replace('-', '_')}_LIBRARY"

    def find_library(self) -> str:
        """The path of the library; ProviderError where there is none. It does not load ONNX Runtime."""
        path = os.environ.get(self.library_variable)
        if path and not Path(path).is_file():
            raise ProviderError(f"`{self.library_variable}` is `{path}`, which is no file")
        if path:
            return path
        try:
            return str(import_module(self.module).get_library_path())
        except (ModuleNotFoundError, FileNotFoundError) as error:
            raise ProviderError(
                f"provider `{self.name}` was asked for, but its plug-in `{self.module}` is not installed",
                f"`{install_line(self.extra)}`, or choose `cpu`",
            ) from error
        except (
            ImportError,
            OSError,
            AttributeError,
        ) as error:  # of a library that it needs, or another version
            raise self._refuse(error, self.module) from error

    def is_installed(self) -> bool:
        """Whether the package is there, or the variable names a library."""
        return bool(os.environ.get(self.library_variable)) or find_spec(self.module) is not None

    def require(self) -> None:
        """Load the library, once in a process; ProviderError where it finds nothing to compute on."""
        self.find_devices()

    def find_devices(self) -> Sequence[Ort]:
        """What it can compute on here, as ONNX Runtime's OrtEpDevices; never empty."""
        with _LOADING:
            if devices := self._list_devices():
                return devices  # loaded already, perhaps by ONNX Runtime itself
            self._load()
        if devices := self._list_devices():
            return devices
        raise ProviderError(
            f"provider `{self.name}` was asked for, but its plug-in finds nothing here that it runs on",
            self._no_device_hint(),
        )

    def _load(self) -> None:
        import onnxruntime as ort  # noqa: PLC0415

        library = self.find_library()
        try:
            ort.register_execution_provider_library(self.native, library)
        except Exception as error:  # a class of its own for each way to fail, without a base
            if "already registered" in str(error):
                return  # and it has no device
            raise self._refuse(error, library) from error

    def _refuse(self, error: Exception, library: str) -> ProviderError:
        return ProviderError(
            f"the plug-in of provider `{self.name}` cannot be loaded: {first_line(error)}",
            self._load_hint(library),
        )

    def _list_devices(self) -> list[Ort]:
        import onnxruntime as ort  # noqa: PLC0415

        own = [each for each in ort.get_ep_devices() if each.ep_name == self.native]
        return [each for each in own if each.device.type.name == self.device_kind]

    @property
    def device_kind(self) -> str:
        """What it computes on, by ONNX Runtime's name of the type of a device."""
        return "GPU" if self.on_gpu else "CPU"

    def _load_hint(self, library: str) -> str:
        import onnxruntime as ort  # noqa: PLC0415

        return f"`{library}` must fit this ONNX Runtime, {ort.__version__}"

    def _no_device_hint(self) -> str | None:
        return None

    def _open(self, model: bytes | str, options: Ort, native: Options, device: int) -> Ort:
        import onnxruntime as ort  # noqa: PLC0415

        devices = self.find_devices()
        if device >= len(devices):
            raise ProviderError(
                f"device {device} of provider `{self.name}` was asked for, and there are {len(devices)}"
            )
        options.add_provider_for_devices([devices[device]], dict(native))
        return ort.InferenceSession(model, options, enable_fallback=0)
