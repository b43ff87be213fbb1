"""eSpeak NG in a process of its own: `python -I -S espeak_voice.py LIBRARY DATA`.

What the library says depends on what the process said before (random state, echo buffer, voice left-overs), so it is started
and seeded once, and every utterance is spoken in a forked child, which starts from that same state. A fork costs what the
process has in memory, up to twice what the speech does, hence this small process: it imports next to nothing.

Answers begin with eight bytes: first the sampling rate, then for each line of input (a JSON list of text, voice, speed,
pitch and pitch range) the number of bytes that follow, native int16 samples, or -1 where nothing was said.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys

HEAD = struct.Struct("<q")
"""What an answer begins with."""

_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_SPEED, _PITCH, _RANGE = 1, 3, 4
_UTF8 = 1
_SEED = 20200
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def say(lib: ctypes.CDLL, text: str, voice: str, speed: int, pitch: int, pitch_range: int) -> bytes:
    """The utterance as native int16 samples; only ever called in a forked child."""
    chunks: list[bytes] = []

    def take(samples: ctypes._Pointer[ctypes.c_short], count: int, _events: object) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(take)
    lib.espeak_SetSynthCallback(callback)
    if lib.espeak_SetVoiceByName(voice.encode()) != 0:
        raise ValueError(f"no voice {voice}")
    for parameter, value in ((_SPEED, speed), (_PITCH, pitch), (_RANGE, pitch_range)):
        lib.espeak_SetParameter(parameter, value, 0)
    spoken = text.encode()
    lib.espeak_Synth(spoken, ctypes.c_size_t(len(spoken) + 1), 0, 0, 0, _UTF8, None, None)
    return b"".join(chunks)


def main(library: str, data: str) -> None:
    """Answer until the input ends. What the library prints goes to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)
    lib = ctypes.CDLL(library)
    rate = lib.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), _DONT_EXIT)
    lib.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
    os.write(answers, HEAD.pack(rate))
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                said = say(lib, *json.loads(line))
                with os.fdopen(answers, "wb") as out:
                    out.write(HEAD.pack(len(said)) + said)
                code = 0
            finally:
                os._exit(code)
        if os.waitpid(child, 0)[1]:
            os.write(answers, HEAD.pack(-1))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
