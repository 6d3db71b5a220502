"""Every setting, a file for each topic: what it means, its default, and where it is read from."""

from serve.settings.settings import FILE, MEBIBYTE, PREFIX, Settings, find_panel

__all__ = ["FILE", "MEBIBYTE", "PREFIX", "Settings", "find_panel"]
