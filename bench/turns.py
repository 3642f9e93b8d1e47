"""In which order those that are compared take their turns."""


def turns(names, rounds):
    """Gives the order of each round. Another one begins each time, those that do as far apart as they can be, and every
    other round runs backwards, so that nobody always comes after the same one."""
    step = max(1, len(names) // rounds)
    for number in range(rounds):
        first = number * step % len(names)
        order = [*names[first:], *names[:first]]
        yield order if number % 2 == 0 else [order[0], *order[:0:-1]]
