"""Whether a model knows all tokens of its tokenizer, found by running it on the last one."""

import re
from contextlib import suppress

import numpy as np

from serve.engine.errors import ModelRefusedError, quote
from serve.engine.loading import Cancellation
from serve.engine.session import INPUT_ERROR, SESSION_ERRORS, Session
from serve.engine.tokenizer import IDS, TextTokenizer

# ONNX Runtime's words for a number that is no place in a table of so many.
BEYOND = re.compile(r"must be within the inclusive range \[-\d+,(\d+)\]")


def require_known_tokens(
    tokenizer: TextTokenizer | None, session: Session, cancellation: Cancellation, seconds: float
) -> None:
    """Raise `ModelRefusedError` if the model has fewer embeddings than the tokenizer has tokens.

    A run that fails otherwise, or takes more than so many seconds, says nothing of that.
    """
    if tokenizer is None or not tokenizer.tokens:
        return
    inputs = session.signature.zeros()
    inputs[IDS] = np.full_like(inputs[IDS], tokenizer.tokens - 1)
    with cancellation.limit_runs(seconds) as options, suppress(*SESSION_ERRORS):
        try:
            session.run(inputs, session.signature.choose_outputs(None), options)
        except INPUT_ERROR as error:
            if (beyond := BEYOND.search(str(error))) is not None:
                raise ModelRefusedError(
                    f"{quote(tokenizer.name)} numbers its tokens up to `{tokenizer.tokens - 1}`, and the "
                    f"model has embeddings up to `{beyond[1]}`: it is the tokenizer of another model"
                ) from error
