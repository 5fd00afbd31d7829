"""From figures to single violations that have exactly these figures, or the figures that contradict one another. Pure and repeatable.

Every unit that counts, a child of a child type or one attack or denial, becomes one `Unit` with its type, sex, line and region. The
published breakdowns are joined by one flow: a unit runs from its sex through its grave violation to its line, and every arc keeps a
published figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from random import Random
from typing import Final

from contracts.vocabulary import Sex, ViolationType
from mrm.demo.figures import CHILD, GRAVE, SEXES, SPLITS, Figures, Path_, line_of, name_of
from mrm.demo.flow import UNBOUNDED, Network

TYPES: Final = {
    "RU": (ViolationType.RECRUITMENT,),
    "KM": (ViolationType.KILLING, ViolationType.MAIMING),
    "SV": (ViolationType.SEXUAL_VIOLENCE,),
    "ASH": (ViolationType.ATTACK_ON_SCHOOLS, ViolationType.ATTACK_ON_HOSPITALS),
    "ABD": (ViolationType.ABDUCTION,),
    "DHA": (ViolationType.DENIAL_HUMANITARIAN_ACCESS,),
}
"""The types of each of the six, in the order of `figures.SPLITS`."""
SEX_OF: Final = {"boys": Sex.MALE, "girls": Sex.FEMALE, "unknown": Sex.UNKNOWN}
UNATTRIBUTED: Final = ""
"""The line of violations that no given breakdown attributes."""

# Costs of the flows: what the rules of rest would rather not do. They order solutions and never decide whether there is one.
_AGAINST_REST_RULE: Final = 1_000
_MORE_THAN_NEEDED: Final = 100
_MENTIONED_TYPE: Final = 50
_SHARES: Final = 8


class ContradictionError(Exception):
    """Figures that cannot all hold: none of `figures` can be left out without the others becoming possible."""

    def __init__(self, figures: Figures, paths: Sequence[Path_]) -> None:
        self.paths = tuple(paths)
        self.sentence = "These published figures cannot all hold: " + ", ".join(
            f"{name_of(path)} = {figures.values[path]}" for path in self.paths
        )
        super().__init__(self.sentence + ".")


@dataclass(frozen=True, slots=True)
class Unit:
    """One child of a child-type violation, or one attack or denial. `line` and `region` are published names; None is the rest."""

    type: ViolationType
    sex: Sex | None
    line: str | None
    region: str | None


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What is to be made. `children` lists for each distinct child the positions of its units in `units`."""

    units: tuple[Unit, ...]
    children: tuple[tuple[int, ...], ...]
    late: tuple[Unit, ...]
    military_use_of_schools: int


def solve(figures: Figures) -> Assignment:
    """Return an assignment in which every given figure holds exactly. Raises `ContradictionError` with figures that cannot."""
    solved = _marginals(figures)
    if solved is None:
        raise ContradictionError(figures, _smallest_contradiction(figures))
    rng = Random(f"mrm-demo/{figures.id}")  # noqa: S311 - the same incidents every time is the point
    units = _units(solved, rng)
    children = _children(units, solved.distinct, rng)
    placed = _placed(units, children, figures.under("by_province"), rng)
    late = tuple(rng.choice(placed) if placed else _lone_unit() for _ in range(figures.get("late_extra") or 0))
    return Assignment(units=placed, children=children, late=late, military_use_of_schools=figures.get("military_use", "schools") or 0)


@dataclass(frozen=True, slots=True)
class _Marginals:
    by_line: dict[str, dict[str, int]]
    by_sex: dict[str, dict[str, int]]
    parts: dict[str, tuple[int, ...]]
    distinct: dict[str, int]


def _marginals(figures: Figures) -> _Marginals | None:
    if not _lines_agree(figures):
        return None
    for preference in permutations(range(len(SEXES))):
        carried = _joint_flow(figures, dict(zip(("unknown", "boys", "girls"), preference, strict=True)))
        if carried is None:
            return None
        by_sex = {grave: {sex: carried.get((sex, grave), 0) for sex in SEXES} for grave in CHILD}
        distinct = _distinct_children(figures, by_sex)
        if distinct is not None:
            lines = _all_lines(figures)
            by_line = {grave: {line: carried.get((f"{grave} counted", f"line {line}"), 0) for line in lines} for grave in GRAVE}
            parts = {grave: _parts(figures, grave, sum(by_line[grave].values())) for grave in GRAVE}
            return _Marginals(by_line, by_sex, parts, distinct)
    return None


def _smallest_contradiction(figures: Figures) -> list[Path_]:
    """Leave out one figure after the other as long as the rest still contradicts itself; what remains is needed, each of it."""
    kept = dict.fromkeys(figures.values)
    for path in reversed(list(figures.values)):
        without = frozenset(kept) - {path}
        if _marginals(figures.only(without)) is None:
            del kept[path]
    return list(kept)


def _lines_agree(figures: Figures) -> bool:
    """Tell whether names that fall on one line, such as two spellings of "unidentified", publish the same figure."""
    for prefix in (*((grave, "by") for grave in GRAVE), ("by_party",)):
        seen: dict[str, int] = {}
        for name, value in figures.under(*prefix).items():
            if seen.setdefault(line_of(name), value) != value:
                return False
    return True


def _lines(figures: Figures, *prefix: str) -> dict[str, int]:
    return {line_of(name): value for name, value in figures.under(*prefix).items()}


def _all_lines(figures: Figures) -> list[str]:
    named = (_lines(figures, *prefix) for prefix in (("by_party",), *((grave, "by") for grave in GRAVE)))
    return sorted({UNATTRIBUTED, *(line for lines in named for line in lines)})


def _joint_flow(figures: Figures, preference: dict[str, int]) -> dict[tuple[str, str], int] | None:
    """Find how many of each of the six there are, of which sex and under which line, in one flow.

    Every unit runs from its sex through its grave violation to its line. `preference` orders the sexes where nothing asks for one.
    """
    network = Network()
    total = figures.get("total")
    floor = max(sum(figures.under("by_province").values()), sum(_lines(figures, "by_party").values()))
    if total is None:
        network.add("sink", "source", least=floor, cost=_MORE_THAN_NEEDED)
    else:
        network.add("sink", "source", least=max(total, floor), most=total)
    network.add("source", "incidents")
    _add_sexes(network, figures)
    for grave in GRAVE:
        bounds = _range_of(figures, grave)
        if bounds is None:
            return None
        if grave in CHILD:
            _add_sexes_of(network, grave, figures, preference)
        else:
            network.add("incidents", grave)
        _add_amount(network, grave, bounds, figures)
        _add_lines_of(network, grave, figures)
    by_party = _lines(figures, "by_party")
    for line in _all_lines(figures):
        network.add(f"line {line}", "sink", least=by_party.get(line, 0), most=by_party.get(line, UNBOUNDED))
    return network.solve()


def _add_sexes(network: Network, figures: Figures) -> None:
    """Add how many child violations the distinct children of each sex ask for: no fewer than children, and none without a child."""
    wanted, children = _wanted_children(figures), figures.get("children")
    others = None if children is None else children - sum(value or 0 for value in wanted.values())
    network.add("source", "others", least=max(0, others or 0), most=UNBOUNDED if others is None or others >= 0 else -1)
    for sex in SEXES:
        value = wanted[sex]
        nobody = others == 0 if value is None else value <= 0
        # A record of unknown sex can belong to a child whose sex another record knows; no other violation is without a child of its sex.
        most = 0 if nobody and sex != "unknown" else UNBOUNDED
        tail = "others" if value is None else "source"
        network.add(tail, sex, least=value or 0, most=most, cost=_AGAINST_REST_RULE if nobody else 0)


def _add_sexes_of(network: Network, grave: str, figures: Figures, preference: dict[str, int]) -> None:
    """Add the boys, girls and unknown of one child type; where some are given, the rest is unknown unless other figures ask for more."""
    given = {sex: figures.get(grave, sex) for sex in SEXES}
    any_given = any(value is not None for value in given.values())
    for sex in SEXES:
        value = given[sex]
        if value is not None:
            network.add(sex, grave, least=value, most=value)
        else:
            network.add(sex, grave, cost=preference[sex] * (_AGAINST_REST_RULE if any_given else 1))


def _add_lines_of(network: Network, grave: str, figures: Figures) -> None:
    """Add the lines of one of the six; where some are given, the rest is unattributed unless `by_party` asks for more."""
    by, by_party = _lines(figures, grave, "by"), _lines(figures, "by_party")
    for line in _all_lines(figures):
        if line in by:
            network.add(f"{grave} counted", f"line {line}", least=by[line], most=by[line])
        elif line == UNATTRIBUTED or line in by_party:
            breaks_rest_rule = line != UNATTRIBUTED and bool(by)
            network.add(f"{grave} counted", f"line {line}", cost=_AGAINST_REST_RULE if breaks_rest_rule else 0)


def _add_amount(network: Network, grave: str, bounds: tuple[int, int], figures: Figures) -> None:
    """Add the amount of one of the six; where it is free, in shares of rising cost, so that the rest is spread evenly."""
    least, most = bounds
    network.add(grave, f"{grave} counted", least=least, most=least)
    if most == least:
        return
    extra = _MENTIONED_TYPE if any(path[0] == grave for path in figures.values) else 0
    share = max(1, (figures.get("total") or 0) // (4 * _SHARES))
    for step in range(_SHARES):
        network.add(grave, f"{grave} counted", most=share, cost=extra + step)
    network.add(grave, f"{grave} counted", cost=extra + _SHARES)


def _range_of(figures: Figures, grave: str) -> tuple[int, int] | None:
    """Return the least and the greatest amount that the figures of one of the six leave to it; None if they contradict one another."""
    exact = {figures.get(grave, "n")} - {None}
    parts = [figures.get(grave, part) for part in SPLITS.get(grave, ())]
    sexes = [figures.get(grave, sex) for sex in SEXES]
    for breakdown in (parts, sexes):
        if breakdown and None not in breakdown:
            exact.add(sum(value or 0 for value in breakdown))
    least = max(sum(value or 0 for value in parts), sum(value or 0 for value in sexes), sum(_lines(figures, grave, "by").values()))
    if not exact:
        return least, UNBOUNDED
    amount = exact.pop()
    return None if exact or amount is None or amount < least else (amount, amount)


def _parts(figures: Figures, grave: str, amount: int) -> tuple[int, ...]:
    """Return how the amount of one of the six divides over its types; a third of killing and maiming is killing where nothing is given."""
    if grave not in SPLITS:
        return (amount,)
    first, second = (figures.get(grave, part) for part in SPLITS[grave])
    if first is None:
        first = amount - second if second is not None else (amount + 1) // 3
    return first, amount - first


def _wanted_children(figures: Figures) -> dict[str, int | None]:
    """Return the distinct children by sex that are given, where `children` and two of them leave the third no choice, that too."""
    wanted = {sex: figures.get(sex) for sex in SEXES}
    children = figures.get("children")
    missing = [sex for sex in SEXES if wanted[sex] is None]
    if children is not None and len(missing) == 1:
        wanted[missing[0]] = children - sum(value or 0 for value in wanted.values())
    return wanted


def _distinct_children(figures: Figures, by_sex: dict[str, dict[str, int]]) -> dict[str, int] | None:
    """Return the distinct children by sex: as given, else as many as there are violations, fewer only where `children` asks for it."""
    violations = {sex: sum(by_sex[grave][sex] for grave in CHILD) for sex in SEXES}
    wanted, children = _wanted_children(figures), figures.get("children")
    known = any(violations[sex] > 0 for sex in ("boys", "girls"))
    least = {sex: min(1, violations[sex]) for sex in SEXES}
    if known:
        least["unknown"] = 0
    distinct: dict[str, int] = {}
    for sex in SEXES:
        value = wanted[sex]
        if value is not None and not least[sex] <= value <= violations[sex]:
            return None
        distinct[sex] = violations[sex] if value is None else value
    if children is None:
        return distinct
    for sex in sorted((sex for sex in SEXES if wanted[sex] is None), key=lambda sex: -violations[sex]):
        surplus = sum(distinct.values()) - children
        distinct[sex] -= max(0, min(surplus, distinct[sex] - min(1, violations[sex])))
    if sum(distinct.values()) > children and known and wanted["unknown"] is None:
        distinct["unknown"] -= min(sum(distinct.values()) - children, distinct["unknown"])
    return distinct if sum(distinct.values()) == children else None


def _units(solved: _Marginals, rng: Random) -> list[Unit]:
    """Couple the separate breakdowns of each of the six at random: they are all of its units, so any coupling keeps every figure."""
    units: list[Unit] = []
    for grave in GRAVE:
        types = [kind for kind, amount in zip(TYPES[grave], solved.parts[grave], strict=True) for _ in range(amount)]
        lines = [line or None for line, amount in solved.by_line[grave].items() for _ in range(amount)]
        sexes: list[Sex | None] = [None] * len(types)
        if grave in CHILD:
            sexes = [SEX_OF[sex] for sex in SEXES for _ in range(solved.by_sex[grave][sex])]
        for values in (types, lines, sexes):
            rng.shuffle(values)
        units += [Unit(kind, sex, line, None) for kind, sex, line in zip(types, sexes, lines, strict=True)]
    return units


def _children(units: Sequence[Unit], distinct: dict[str, int], rng: Random) -> tuple[tuple[int, ...], ...]:
    """Divide the units of child types among the distinct children.

    Where children are fewer than units, that many suffered two, of different types and one line if possible, a killing last of all.
    """
    children: list[list[int]] = []
    left_over: list[int] = []
    rarity: dict[ViolationType, int] = {}
    for unit in units:
        rarity[unit.type] = rarity.get(unit.type, 0) + 1
    for name in SEXES:
        own = [position for position, unit in enumerate(units) if unit.sex is SEX_OF[name]]
        rng.shuffle(own)
        own.sort(key=lambda position: -rarity[units[position].type])
        children += [[position] for position in own[: distinct[name]]]
        left_over += own[distinct[name] :]
    for position in left_over:
        _child_for(units, position, children).append(position)
    return tuple(tuple(sorted(child)) for child in children)


def _child_for(units: Sequence[Unit], position: int, children: Sequence[list[int]]) -> list[int]:
    """Return the child most fit to have suffered this too: of its sex, with the fewest violations, of another type, by the same line."""
    unit = units[position]

    def unfitness(child: list[int]) -> tuple[bool, int, bool, bool, bool, int]:
        others = [units[other] for other in child]
        kinds = {other.type for other in others}
        killed_before = ViolationType.KILLING in kinds
        return (
            all(other.sex is not unit.sex for other in others),
            len(child),
            unit.type in kinds,
            killed_before and unit.type is ViolationType.KILLING,
            all(other.line != unit.line for other in others),
            child[0],
        )

    # A child of another known sex cannot take the unit: that would change the child's sex.
    possible = [child for child in children if unit.sex is Sex.UNKNOWN or any(units[other].sex is unit.sex for other in child)]
    return min(possible, key=unfitness)


def _placed(units: Sequence[Unit], children: Sequence[tuple[int, ...]], regions: dict[str, int], rng: Random) -> tuple[Unit, ...]:
    """Give every unit its region; what one child suffered in one region as far as room allows."""
    room: dict[str | None, int] = {region: free for region, free in regions.items()}  # noqa: C416 - the key type is wider here
    room[None] = len(units) - sum(regions.values())
    where: dict[int, str | None] = {}
    for child in sorted((child for child in children if len(child) > 1), key=len, reverse=True):
        fitting = [region for region, free in room.items() if free >= len(child)]
        for position in child:
            region = max(fitting or [name for name, free in room.items() if free], key=lambda name: (room[name], name or ""))
            where[position] = region
            room[region] -= 1
            fitting = [region] if fitting else []
    rest: list[str | None] = [region for region, free in room.items() for _ in range(free)]
    rng.shuffle(rest)
    for position in range(len(units)):
        if position not in where:
            where[position] = rest.pop()
    return tuple(replace(unit, region=where[position]) for position, unit in enumerate(units))


def _lone_unit() -> Unit:
    return Unit(ViolationType.DENIAL_HUMANITARIAN_ACCESS, None, None, None)
