"""A page too large to keep as it is: the same page compressed, which the browser unfolds; it still loads nothing."""

from __future__ import annotations

import base64
import re
import zlib

LARGEST = 5_000_000
"""Bytes of the largest page that is kept plain; a leaderboard gets there with about 250 rows."""

_SHELL = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{security}
{title}
</head>
<body>
<p id="unfolding">This page is large and kept compressed; a script unfolds it. If nothing happens, use a newer browser, or
read leaderboard.md and leaderboard.csv beside it.</p>
<script type="text/plain" id="folded">{folded}</script>
<script>
(async () => {{
  const bytes = Uint8Array.from(atob(document.getElementById("folded").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const page = await new Response(stream).text();
  document.open();
  document.write(page);
  document.close();
  const place = location.hash;
  if (place) {{
    location.hash = "";
    location.hash = place;
  }}
}})();
</script>
</body>
</html>
"""


def fold(page: str, largest: int = LARGEST) -> str:
    """The page itself, or, where it has more than `largest` bytes, one that unfolds to it."""
    plain = page.encode()
    if len(plain) <= largest:
        return page
    title, security = (
        found.group() if (found := re.search(pattern, page)) else ""
        for pattern in (r"<title>[^<]*</title>", r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>")
    )
    folded = base64.b64encode(zlib.compress(plain, 9)).decode("ascii")
    return _SHELL.format(title=title, security=security, folded=folded)
