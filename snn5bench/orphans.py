"""Worker processes end with the process that started them, even when that one was killed."""

from __future__ import annotations

import os
import threading
import time

EVERY_S = 1.0


def end_with(parent: int, grace_s: float = 0.0) -> None:
    """In a worker: end this process, from a thread of its own, as soon as `parent` is no longer its parent, or `grace_s`
    after that, where it has something to put away itself.

    A pool's workers wait on a pipe that outlives a killed driver; without this they would stay for ever, with their memory.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(EVERY_S)
        time.sleep(grace_s)
        os._exit(1)

    threading.Thread(target=watch, name="ends-with-parent", daemon=True).start()
