"""What /readyz says is wrong, and waiting for it to say so."""

import json


def troubles(sluice):
    """{what: message} of /readyz; empty when it is ready."""
    status, text = sluice.ops("/readyz")
    answer = json.loads(text)
    found = {one["what"]: one["message"] for one in answer.get("trouble", [])}
    assert (status == 200) == (not found), text
    return found


def wait_trouble(sluice, what, *words, timeout_s=30):
    """Waits until /readyz names it and tells a reason, with these words in it; gives the reason."""
    def named():
        try:
            reason = troubles(sluice).get(what, "")
        except OSError:
            return False  # it has not come so far
        return reason != "not yet contacted" and all(word in reason for word in words) and reason
    return sluice.wait_for(named, timeout_s, f"/readyz naming {what} {' '.join(words)}".rstrip())
