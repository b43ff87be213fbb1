"""Methods that end badly, as source of the package `faulty` that the campaign installs for itself."""

SOURCE = '''
from snn5bench.contracts.method import Method
from snn5bench.contracts.params import MethodParams
from snn5bench.record import Fidelity


class Tiny(Method):
    """A linear read-out per step."""

    name = "tiny"
    fidelity = Fidelity.faithful("a linear map")

    class Params(MethodParams):
        seconds: float = 0.0
        """How long the building of the network takes."""
        gate: str = ""
        """A file; while it is there, the cell ends badly in its own way, and well once it is gone."""

    def shut(self):
        from pathlib import Path

        return self.params.gate != "" and Path(self.params.gate).exists()

    def build(self, data):
        import time

        from torch import nn

        time.sleep(self.params.seconds)
        return nn.Linear(data.channels, data.n_classes)


class Hangs(Tiny):
    """Waits for ever."""

    name = "hangs"

    def build(self, data):
        import time

        while self.shut():
            time.sleep(0.05)
        return super().build(data)


class Frozen(Tiny):
    """Holds the interpreter's lock for ever, in C, with a child process of its own."""

    name = "frozen"

    def build(self, data):
        import ctypes
        import subprocess

        if self.shut():
            subprocess.Popen(["sleep", "600"])
            ctypes.PyDLL(None).pause()
        return super().build(data)


class Leaks(Tiny):
    """Takes memory until it is stopped."""

    name = "leaks"

    def build(self, data):
        import time

        held = []
        while self.shut():
            held.append(bytearray(b"x" * (16 << 20)))
            time.sleep(0.005)
        return super().build(data)


class Exits(Tiny):
    """Calls sys.exit."""

    name = "exits"

    def build(self, data):
        import sys

        if self.shut():
            sys.exit(3)
        return super().build(data)


class Kills(Tiny):
    """Kills its own process, the first time that it is asked to."""

    name = "kills"

    def build(self, data):
        import os
        import signal
        from pathlib import Path

        if self.shut():
            Path(self.params.gate).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().build(data)
'''

NAMES = ("tiny", "hangs", "frozen", "leaks", "exits", "kills")
