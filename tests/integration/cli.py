"""Commands of sluice beside a running one, by its configuration: their status and what they say."""

import json
import os
import subprocess

from process import build_dir
from programs import SANITIZER_ENV


class Answer:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr
        assert "Sanitizer" not in self.err and "runtime error" not in self.err, self.err

    @property
    def objects(self):
        """What --json printed, one object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def command(config_path, *words, timeout_s=60, **options):
    """sluice WORDS --OPTION VALUE …; True stands for an option without a value."""
    args = [*map(str, words), "-c", str(config_path)]
    for name, value in options.items():
        args.append("--" + name.replace("_", "-"))
        if value is not True:
            args.append(str(value))
    done = subprocess.run([build_dir() / "src/sluice", *args], text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=timeout_s,
                          env={**os.environ, **SANITIZER_ENV})
    return Answer(done)


def dead(sluice, verb, *words, **options):
    """sluice dead VERB … with the configuration of that sluice."""
    return command(sluice.config_path, "dead", verb, *words, **options)


def dead_list(sluice, **options):
    """The letters as the list gives them."""
    answer = dead(sluice, "list", json=True, **options)
    assert answer.status == 0, answer.err
    return answer.objects


def replay(sluice, status=0, **options):
    """Replays; gives the sums, behind what was refused: (sums, [{id, refused}, …])."""
    answer = dead(sluice, "replay", json=True, **(options or {"all": True}))
    assert answer.status == status, (answer.status, answer.out, answer.err)
    *refused, sums = answer.objects
    return sums, refused


def audit(sluice, *words, status=0, **options):
    """{run: its line}."""
    answer = command(sluice.config_path, "audit", *words, json=True, **options)
    assert answer.status == status, (answer.status, answer.out, answer.err)
    return {line["run"]: line for line in answer.objects}
