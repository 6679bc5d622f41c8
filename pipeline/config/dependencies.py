"""How members, backbones, blends and rounds of a config depend on each other."""

from pipeline.config.schema import AnyMember, Config, External, Learner, Network


def backbones_of(member: AnyMember) -> list[str]:
    """Return the names of the backbones that a member uses."""
    if isinstance(member, Learner):
        return member.backbones
    return [member.network] if isinstance(member, Network) else []


def blocks_of(config: Config) -> list[str]:
    """Return backbones that any learner uses, in the config's order; networks need no block."""
    learners = [member for member in config.members.values() if isinstance(member, Learner)]
    used = {name for learner in learners for name in learner.backbones}
    return [name for name in config.backbones if name in used]


def backbone_of_scenes(config: Config) -> str | None:
    """Return the backbone whose features find the scenes of `folds.scheme: scenes`, if any.

    It is the first of the config, whatever members use it, so that no member changes folds.
    """
    if config.folds.scheme != "scenes":
        return None
    return next(iter(config.backbones), None)


def backbone_of_views(config: Config) -> str | None:
    """Return the backbone whose features tell which views do harm: the first that is used.

    It is the same whatever part of the members a run makes.
    """
    used = {name for member in config.members.values() for name in backbones_of(member)}
    return next((name for name in config.backbones if name in used), None)


def depends_on(config: Config, name: str, other: str) -> bool:
    """Return whether a member depends on another, directly or through others."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current == other:
            return True
        if current in config.members and current not in seen:
            seen.add(current)
            waiting += config.members[current].depends_on
    return False


def members_without_teacher(config: Config) -> list[str]:
    """Return members of round 0: a blend that is a teacher is made of them.

    External members are left out: their test predictions may come from a model of any row.
    """
    members = config.members

    def has_teacher(name: str) -> bool:
        if members[name].teachers or isinstance(members[name], External):
            return True
        return any(has_teacher(other) for other in members[name].depends_on)

    return [name for name in members if not has_teacher(name)]


def members_of_blend(config: Config, student: str, key: str) -> list[str]:
    """Return the members of the blend that teaches a student by `pseudo` or `distill`.

    Those of round 0; in later rounds of pseudo-labels also the student of the round before.
    """
    pseudo = config.members[student].pseudo
    joins = [pseudo.after] if key == "pseudo" and pseudo.after is not None else []
    return list(dict.fromkeys([*members_without_teacher(config), *joins]))


def series_of_rounds(config: Config) -> list[list[str]]:
    """Return members in the order of their rounds, a list for each student.

    A list begins with round 0 if there is one: the member that differs only by its lack of
    pseudo-labels. A student without any other round is not listed.
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
    """Return members' positions by round, of each student that has several.

    A student with one round is not among them: its round was asked for, so it stays in the blend.
    """
    position = {name: m for m, name in enumerate(config.members)}
    return [
        [position[name] for name in rounds]
        for rounds in series_of_rounds(config)
        if config.members[rounds[-1]].pseudo.after is not None
    ]
