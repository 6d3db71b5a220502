import pytest

from adaptact.providers import machine


@pytest.mark.parametrize(
    ("flags", "has_tiles"),
    [("fpu amx_tile amx_int8", True), ("fpu amx_tile amx_bf16", False), ("avx512_vnni", False), ("", False)],
)
def test_tiles_of_8_bits_are_multiplied_with_their_own_instructions(
    flags: str, has_tiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_read_field", lambda path, name: flags if name == "flags" else "")
    assert machine.multiplies_tiles() is has_tiles
