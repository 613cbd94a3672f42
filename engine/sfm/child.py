# SPDX-License-Identifier: MIT
"""The process an import runs in: `python -m engine.sfm.child` reads a job from stdin, writes one JSON object a line.

    {"kind": "progress", "stage": "finding features", "done": 3, "total": 29}
    {"kind": "said", "text": "..."}
    {"kind": "finished", "report": {...}}
    {"kind": "failed", "text": "...", "user": true, "trace": ""}

It ends by itself when its stdin closes, so it never outlives the program that started it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from typing import Any, TextIO

from engine.errors import UserError, cause_chain
from engine.sfm.options import ImportJob
from engine.sfm.pipeline import Pipeline

ORPHANED = 75  # exit status when nobody listens any more


def main() -> int:
    """Run the job on stdin; return the exit status."""
    out = _own_stdout()

    def send(kind: str, **fields: Any) -> None:
        print(json.dumps({"kind": kind, **fields}), file=out, flush=True)

    try:
        job = ImportJob.from_json(json.loads(sys.stdin.readline()))
        threading.Thread(target=_end_with_parent, daemon=True).start()
        pipeline = Pipeline(
            job,
            lambda stage, done, total: send("progress", stage=stage, done=done, total=total),
            lambda text: send("said", text=text),
        )
        send("finished", report=pipeline.run().to_json())
        return 0
    except Exception as error:
        user = isinstance(error, UserError)
        text = str(error) if user else _sentence(error)
        send("failed", text=text, user=user, trace=traceback.format_exc())
        return 2 if user else 1


def _own_stdout() -> TextIO:
    """Return the pipe to the parent; what libraries print to stdout goes to stderr from now on."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(ORPHANED)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"The import stopped: {error.filename or 'a file'}: {error.strerror}."
    return f"The import stopped: {' / '.join(text.splitlines()[0] for text in cause_chain(error))}."


if __name__ == "__main__":
    sys.exit(main())
