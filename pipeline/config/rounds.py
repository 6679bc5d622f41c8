"""Which members are rounds of the same student."""

from pipeline.config.schema import Config


def series_of_rounds(config: Config) -> list[list[str]]:
    """Members in the order of their rounds, a list for each student.

    It begins with round 0, where there is one: the member that differs by its lack of pseudo-labels
    only. A student without any other round is not listed.
    """
    pseudo = {name: getattr(member, "pseudo", None) for name, member in config.members.items()}
    before = {name: settings.after for name, settings in pseudo.items() if settings is not None}
    series = []
    for name in before:
        if name in before.values():
            continue  # in the list of the last round
        rounds = [name]
        while (earlier := before.get(rounds[0])) is not None:
            rounds.insert(0, earlier)
        if pseudo[rounds[0]] is not None:
            rounds = [*_round_0(config, rounds[0]), *rounds]
        if len(rounds) > 1:
            series.append(rounds)
    return series


def _round_0(config: Config, name: str) -> list[str]:
    plain = config.members[name].model_copy(update={"pseudo": None})
    return [other for other, member in config.members.items() if member == plain][:1]


def positions_by_round(config: Config) -> list[list[int]]:
    """Members' positions by round, of each student that has several.

    A student with one round is not among them: whoever asks for one round wants it in the blend.
    """
    position = {name: m for m, name in enumerate(config.members)}
    return [
        [position[name] for name in rounds]
        for rounds in series_of_rounds(config)
        if config.members[rounds[-1]].pseudo.after is not None
    ]
