"""Getting a dataset: downloads that resume, and that count only once their checksum is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from snn5bench.data.brought import Brought, Download
from snn5bench.errors import BenchError

_PIECE = 1 << 16


def get(dataset: Brought, say: Callable[[str], None]) -> Path:
    """Download what is missing of a dataset into its folder, and return the folder. `say` is told what goes on.

    Raises `BenchError` where no address with a checksum is known, where the network fails, or where what came is not
    what was expected. A download that breaks off stays as `.part` and is resumed by the next call.
    """
    import pooch

    folder = dataset.folder()
    if not dataset.downloads:
        raise BenchError(
            f"'{dataset.name}' cannot be downloaded by a program: no address with a checksum is known",
            where=str(folder),
            do=f"{dataset.how} The folder must hold {dataset.expects}.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for item in dataset.downloads:
        say(f"{item.file} from {item.url}")
        try:
            pooch.retrieve(
                item.url, item.checksum, item.file, folder, _processor(item), Resuming(folder / f"{item.file}.part")
            )
        except (OSError, ValueError) as error:
            raise BenchError(f"{item.file}: {error}", where=item.url, do=f"try again, or: {dataset.how}") from error
    return folder


def _processor(item: Download) -> Any:
    import pooch

    if not item.unpack:
        return None
    kind = pooch.Unzip if item.file.endswith(".zip") else pooch.Untar
    return kind(extract_dir=".")


class Resuming:
    """pooch's downloader protocol over HTTP, going on where an earlier try broke off."""

    def __init__(self, part: Path, timeout_s: float = 60.0) -> None:
        self.part, self.timeout_s = part, timeout_s

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Fetch `url` whole, then put it at `output_file`, where pooch verifies it."""
        self._fetch(url)
        self.part.replace(output_file)

    def _fetch(self, url: str) -> None:
        import requests

        have = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout_s) as answer:
            if have and answer.status_code == requests.codes.requested_range_not_satisfiable:
                return
            answer.raise_for_status()
            resumed = answer.status_code == requests.codes.partial_content
            with self.part.open("ab" if resumed else "wb") as file:
                for piece in answer.iter_content(_PIECE):
                    file.write(piece)
        if self.part.stat().st_size == 0:
            raise OSError("the server answered with nothing, as some do to programs: use a browser")
