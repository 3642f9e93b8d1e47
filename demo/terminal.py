"""Writing to people: a block that is redrawn in place on a terminal, plain lines elsewhere."""

import os
import re
import shutil
import sys

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """live tells which of the two it is."""

    def __init__(self, out=sys.stdout):
        self.out = out
        self.live = out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.color = self.live and not os.environ.get("NO_COLOR")
        self._drawn = 0  # lines of the block that the cursor is below

    def bold(self, text):
        return f"\x1b[1m{text}\x1b[0m" if self.color else text

    def dim(self, text):
        return f"\x1b[2m{text}\x1b[0m" if self.color else text

    def red(self, text):
        return f"\x1b[31m{text}\x1b[0m" if self.color else text

    def line(self, text=""):
        """A line that stays, below whatever block was drawn."""
        self._drawn = 0
        print(text, file=self.out, flush=True)

    def draw(self, lines):
        """Puts lines in the place of the block drawn before. Only when live."""
        width, height = shutil.get_terminal_size()
        lines = [_cut(line, width - 1) for line in lines[:max(height - 1, 1)]]
        up = f"\x1b[{self._drawn}A" if self._drawn else "\x1b[?25l"  # hides the cursor
        self.out.write(up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J")
        self.out.flush()
        self._drawn = len(lines)

    def settle(self):
        """Lets the block stand as it is; the next one is drawn below."""
        if self.live:
            self.out.write("\x1b[?25h")
            self.out.flush()
        self._drawn = 0


def _cut(line, width):
    """At most width characters; with colors, only a line that fits keeps them."""
    plain = _ESCAPE.sub("", line)
    return line if len(plain) <= width else plain[:width]
