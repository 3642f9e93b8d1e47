"""Reads the Prometheus text format, as far as tests need it."""

import re

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


def _unescape(value):
    return re.sub(r'\\[n"\\]', lambda match: _ESCAPES[match.group()], value)


class Metrics:
    """samples is a list of (name, {label: value}, number), in the order of the text."""

    def __init__(self, text):
        self.samples = []
        for line in text.splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            match = _SAMPLE.match(line)
            if not match:
                raise ValueError(f"not a line of the Prometheus format: {line!r}")
            labels = {key: _unescape(value) for key, value in _LABEL.findall(match.group(2) or "")}
            self.samples.append((match.group(1), labels, float(match.group(3))))

    def all(self, name, **labels):
        """[(labels, number)] of the samples with that name and at least these labels."""
        return [(has, number) for sample, has, number in self.samples
                if sample == name and labels.items() <= has.items()]

    def value(self, name, **labels):
        """The sum of the samples with that name and at least these labels; KeyError if none."""
        found = self.all(name, **labels)
        if not found:
            raise KeyError(f"{name}{labels or ''} is not among: "
                           f"{', '.join(sorted({sample for sample, _, _ in self.samples}))}")
        return sum(number for _, number in found)

    def get(self, name, default=0.0, **labels):
        """Like value(), or default while nothing was counted yet."""
        return self.value(name, **labels) if self.all(name, **labels) else default

    def quantile(self, name, q, **labels):
        """The upper bound of the bucket of histogram name in which quantile q (0 to 1) lies.

        Series that differ in other labels are added up. None while the histogram is empty.
        """
        buckets = {}
        for has, number in self.all(f"{name}_bucket", **labels):
            bound = float(has["le"])
            buckets[bound] = buckets.get(bound, 0.0) + number
        total = max(buckets.values(), default=0.0)
        if total == 0:
            return None
        return next(bound for bound in sorted(buckets) if buckets[bound] >= q * total)
