from pathlib import Path

from convert.artefact.signing import sign
from tests.convert.keys import write_keys
from tests.serve import models
from tests.serve.sources.doubles import Mirrored

MODEL = "digits/1/model.onnx"


def test_only_what_the_key_has_signed_replaces_what_is_there(mirrored: Mirrored, tmp_path: Path) -> None:
    ours, others = write_keys(tmp_path), write_keys(tmp_path, seed=2)
    content = models.model(models.DOUBLE).SerializeToString()
    mirrored.source.files = {MODEL: (signed := sign(content, ours.private))}
    assert mirrored.synchronise(require_signature=ours.public).refusals == {}
    for wrong in (content, sign(content, others.private), signed.replace(b"Add", b"Sub"), b"", b"rubbish"):
        mirrored.source.files[MODEL] = wrong
        status = mirrored.synchronise(require_signature=ours.public)
        assert list(status.refusals) == ["digits/1"]
        assert mirrored.list_files()[MODEL] == signed


def test_a_file_without_parity_replaces_none(mirrored: Mirrored) -> None:
    mirrored.synchronise()
    mirrored.source.files[MODEL] = models.model(models.DOUBLE).SerializeToString()
    status = mirrored.synchronise(require_parity=True)
    assert "parity is required" in status.refusals["digits/1"].reason
    assert mirrored.list_files()[MODEL] == b"one"
