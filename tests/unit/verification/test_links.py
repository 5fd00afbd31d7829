"""Links against an obvious model: what stands, what is refused, no circle of duplicates ever."""

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from verification.domain.links import LinkAct, LinkKind, Links, ProposedLink, StandingLink
from verification.domain.references import Reference

PLACES = [Reference(UUID(int=number), key) for number in range(1, 4) for key in ("a", "b")]
KIND = st.sampled_from(LinkKind)
ENDS = st.sampled_from(PLACES)
ACTS = st.lists(st.tuples(KIND, st.booleans(), ENDS, ENDS), max_size=25)
ROOT = UUID(int=0)


def proposal(kind: LinkKind, undo: bool, item: Reference | None, of: Reference | None, index: int = 0) -> ProposedLink:
    return ProposedLink(kind=kind, undo=undo, item=item, of=of, link=uuid5(ROOT, str(index)))


def codes(*acts: ProposedLink, standing: list[StandingLink] | None = None) -> list[tuple[str, str]]:
    _, refused = Links(standing or []).apply(acts, field="links")
    return [(one.error.field, one.error.code) for one in refused]


def leads_around(edges: set[tuple[Reference, Reference]]) -> bool:
    """Whether any place reaches itself, by taking away places without an original until none is left."""
    left = set(edges)
    while left:
        inner = {edge for edge in left if any(edge[1] == other[0] for other in left)}
        if inner == left:
            return True
        left = inner
    return False


@given(ACTS)
def test_links_behave_like_sets_of_pairs(acts: list[tuple[LinkKind, bool, Reference, Reference]]) -> None:
    links = Links([])
    duplicates: set[tuple[Reference, Reference]] = set()
    children: set[frozenset[Reference]] = set()
    for index, (kind, undo, item, of) in enumerate(acts):
        done, refused = links.apply([proposal(kind, undo, item, of, index)], field="links")
        pair, pairs = ((item, of), duplicates) if kind is LinkKind.DUPLICATE else (frozenset((item, of)), children)
        if item == of:
            expected: str | None = "link_to_itself"
        elif undo:
            expected = None if pair in pairs else "link_absent"
        elif pair in pairs:
            expected = "link_stands"
        elif kind is LinkKind.DUPLICATE and leads_around({*duplicates, (item, of)}):
            expected = "duplicate_circle"
        else:
            expected = None
        assert [one.error.code for one in refused] == ([expected] if expected else [])
        assert len(done) == (0 if expected else 1)
        if expected is None:
            (pairs.discard if undo else pairs.add)(pair)  # type: ignore[arg-type]
    assert not leads_around(duplicates)


@given(ACTS)
def test_a_batch_is_the_same_as_its_acts_one_by_one(acts: list[tuple[LinkKind, bool, Reference, Reference]]) -> None:
    proposals = [proposal(*act, index) for index, act in enumerate(acts)]
    together = Links([]).apply(proposals, field="links")
    apart = Links([])
    one_by_one = [apart.apply([one], field="links") for one in proposals]
    assert together[0] == [act for done, _ in one_by_one for act in done]
    assert [one.error.code for one in together[1]] == [one.error.code for _, refused in one_by_one for one in refused]


def test_undoing_names_the_link_as_it_was_made_in_either_direction() -> None:
    made = StandingLink(link=uuid5(ROOT, "made"), kind=LinkKind.SAME_CHILD, item=PLACES[3], of=PLACES[0])
    acts, refused = Links([made]).apply([proposal(LinkKind.SAME_CHILD, True, PLACES[0], PLACES[3])], field="links")
    assert refused == []
    assert acts == [LinkAct(standing=made, undone=True)]


def test_a_duplicate_has_a_direction() -> None:
    made = StandingLink(link=ROOT, kind=LinkKind.DUPLICATE, item=PLACES[0], of=PLACES[1])
    assert codes(proposal(LinkKind.DUPLICATE, True, PLACES[1], PLACES[0]), standing=[made]) == [("links[0]", "link_absent")]
    assert codes(proposal(LinkKind.DUPLICATE, False, PLACES[1], PLACES[0]), standing=[made]) == [("links[0]", "duplicate_circle")]


def test_a_violation_may_be_a_duplicate_of_two() -> None:
    made = StandingLink(link=ROOT, kind=LinkKind.DUPLICATE, item=PLACES[0], of=PLACES[1])
    assert codes(proposal(LinkKind.DUPLICATE, False, PLACES[0], PLACES[2]), standing=[made]) == []


def test_a_circle_may_be_broken_and_closed_elsewhere_in_one_batch() -> None:
    a, b, c = PLACES[:3]
    made = [
        StandingLink(link=uuid5(ROOT, "ab"), kind=LinkKind.DUPLICATE, item=a, of=b),
        StandingLink(link=uuid5(ROOT, "bc"), kind=LinkKind.DUPLICATE, item=b, of=c),
    ]
    closing = proposal(LinkKind.DUPLICATE, False, c, a, 1)
    assert codes(closing, standing=made) == [("links[0]", "duplicate_circle")]
    assert codes(proposal(LinkKind.DUPLICATE, True, a, b), closing, standing=made) == []


def test_what_is_not_held_is_unknown_at_either_end() -> None:
    assert codes(proposal(LinkKind.DUPLICATE, False, None, PLACES[0])) == [("links[0].violation", "unknown_reference")]
    assert codes(proposal(LinkKind.SAME_CHILD, True, None, None)) == [
        ("links[0].victim", "unknown_reference"),
        ("links[0].of", "unknown_reference"),
    ]
