"""Posts entries of the ledger on a side: the reverse of what each supersedes and what follows from it. Live and rebuild alike.

What stands of everything that the entries concern is read first, all at once; they are posted one after the other in memory; what they
leave is written at the end, all at once. So many entries cost as many statements as one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from aggregation import messages
from aggregation.domain.incident import Incident, Rows, keys_of, rows_of
from aggregation.messages import Fact, incident_and_key
from aggregation.store import books, ledger
from aggregation.store.books import Changes, ImbalanceError, Link, StoredIncident
from aggregation.store.ledger import Entry, NewFact
from aggregation.store.sides import Side, read_by_keys
from chassis.errors import Rejected
from chassis.storage import Tx
from contracts.events import ChildrenLinked, ChildrenUnlinked, IncidentCoded, ViolationDecided, ViolationLinked, ViolationUnlinked


class Journal:
    """The facts that a transaction has taken in and not posted yet: a unit of the transaction."""

    def __init__(self) -> None:
        self._facts: dict[str, list[NewFact]] = {}

    def add(self, situation: str, fact: NewFact) -> None:
        """Take in a fact; its position is given when it is posted."""
        self._facts.setdefault(situation, []).append(fact)

    async def write(self, tx: Tx) -> None:
        """Give the facts their positions and post them; the situations in one order for all, so that none waits for another."""
        facts, self._facts = self._facts, {}
        for situation in sorted(facts):
            entries, side = await ledger.add_positions(tx, situation, facts[situation])
            await post(tx, side, situation, entries)


class EntryRejectedError(Rejected):
    """An entry that cannot be posted: a link that stands already or an undoing of one that does not."""

    def __init__(self, code: str, position: int) -> None:
        super().__init__(code)
        self.position = position


async def post(tx: Tx, side: Side, situation: str, entries: Sequence[Entry]) -> None:
    """Post entries of one situation in their order; raises EntryRejectedError, and ImbalanceError if the side's rows contradict them."""
    await read_by_keys(tx)
    named = {name for entry in entries for name in _concerned(entry)}
    links = await books.list_links(tx, side, situation, named) if named else {}
    incidents = await books.list_incidents(tx, side, situation, named | {link.incident for link in links}) if named else {}
    pairs = {_pair(entry) for entry in entries if entry.kind in (ChildrenLinked.type, ChildrenUnlinked.type)}
    joined = await books.list_child_links(tx, side, situation, pairs) if pairs else set()
    open_books = Books(incidents=incidents, links=links, joined=joined)
    for entry in entries:
        open_books.post(entry)
    await books.save(tx, side, situation, open_books.changes)


class Books:
    """What stands of the incidents and links that some entries concern, in memory, and what posting them changes."""

    def __init__(self, *, incidents: Mapping[str, StoredIncident], links: Mapping[Link, bool], joined: Iterable[tuple[str, str]]) -> None:
        self._links: dict[str, dict[Link, bool]] = defaultdict(dict)
        """By the incident of the duplicate, whether the original exists."""
        self._links_to: dict[str, set[Link]] = defaultdict(set)
        """By the incident of the original."""
        for link, present in links.items():
            self._links[link.incident][link] = present
            self._links_to[link.of_incident].add(link)
        self._cases = {name: _Case(stored) for name, stored in incidents.items()}
        for name, case in self._cases.items():
            case.rows = rows_of(self._incident(name, case))
        self._joined = set(joined)
        self.changes = Changes()

    def post(self, entry: Entry) -> None:
        """Post one entry; raises EntryRejectedError."""
        match entry.kind:
            case IncidentCoded.type:
                self._post_coded(entry)
            case ViolationDecided.type:
                self._post_decided(entry)
            case ViolationLinked.type | ViolationUnlinked.type:
                self._post_duplicate(entry, stands=entry.kind == ViolationLinked.type)
            case ChildrenLinked.type | ChildrenUnlinked.type:
                self._post_child_link(entry, sign=1 if entry.kind == ChildrenLinked.type else -1)
            case _:
                raise EntryRejectedError("fact.unknown_kind", entry.position)

    def _post_coded(self, entry: Entry) -> None:
        """A revision may lose violations or bring them back: the duplicates of those count again, or no longer."""
        case = self._case(entry.subject)
        case.coded_at, case.coded = entry.position, messages.coded_from(entry.fact, region=entry.region)
        keys = keys_of(case.coded)
        changed = [link for link in self._links_to[entry.subject] if self._links[link.incident][link] != (link.of_violation in keys)]
        for link in changed:
            self._keep(link, present=link.of_violation in keys)
        self._save(entry.subject, case)
        for incident in sorted({entry.subject, *(link.incident for link in changed)}):
            self._repost(entry, incident)

    def _post_decided(self, entry: Entry) -> None:
        case, key = self._case(entry.subject), entry.fact["violation"]
        kept: Fact = {name: entry.fact[name] for name in ("outcome", "decided_on", "attribution") if name in entry.fact}
        case.kept[key], case.decisions[key] = kept, messages.decision_from(kept)
        self._save(entry.subject, case)
        self._repost(entry, entry.subject)

    def _post_duplicate(self, entry: Entry, *, stands: bool) -> None:
        link = Link(*incident_and_key(entry.fact["violation"]), *incident_and_key(entry.fact["of"]))
        if stands == (link in self._links[link.incident]):
            raise EntryRejectedError("link.already_stands" if stands else "link.does_not_stand", entry.position)
        if stands:
            self._links_to[link.of_incident].add(link)
            self._keep(link, present=link.of_violation in keys_of(self._case(link.of_incident).coded))
        else:
            self._links_to[link.of_incident].remove(link)
            del self._links[link.incident][link]
            self.changes.links[link] = None
        self._repost(entry, link.incident)

    def _post_child_link(self, entry: Entry, *, sign: int) -> None:
        one, other = pair = _pair(entry)
        if one == other:
            raise EntryRejectedError("link.to_itself", entry.position)
        if (sign == 1) == (pair in self._joined):
            raise EntryRejectedError("link.already_stands" if sign == 1 else "link.does_not_stand", entry.position)
        self._joined ^= {pair}
        self.changes.child_links.append((entry.position, sign, one, other))

    def _case(self, incident: str) -> "_Case":
        case = self._cases.get(incident)
        if case is None:
            case = self._cases[incident] = _Case(_NOTHING)
        return case

    def _incident(self, name: str, case: "_Case") -> Incident:
        suppressed = {link.violation for link, present in self._links[name].items() if present}
        return Incident(id=name, coded=case.coded, decisions=case.decisions, suppressed=suppressed)

    def _keep(self, link: Link, *, present: bool) -> None:
        self._links[link.incident][link] = self.changes.links[link] = present

    def _save(self, name: str, case: "_Case") -> None:
        self.changes.incidents[name] = case.coded_at, case.kept

    def _repost(self, entry: Entry, name: str) -> None:
        """Post the difference between what an incident contributed and what it contributes now."""
        case = self._case(name)
        before, case.rows = case.rows, rows_of(self._incident(name, case))
        for rows, sign in ((before.without(case.rows), -1), (case.rows.without(before), 1)):
            self._note(entry.position, sign, name, rows)

    def _note(self, position: int, sign: int, incident: str, rows: Rows) -> None:
        changes = self.changes
        changes.memberships += [(position, sign, membership) for membership in rows.memberships]
        changes.records += [(position, sign, incident, record) for record in rows.records]
        for posting in rows.postings:
            changes.postings.append((position, sign, posting))
            if sign == 1:
                if posting.violation in changes.risen:
                    raise ImbalanceError(f"twice at position {position}")
                changes.risen[posting.violation] = position, posting
            elif changes.risen.pop(posting.violation, None) is None:
                changes.fallen.add(posting.violation)


class _Case:
    """An incident as it stands, and what it contributes."""

    __slots__ = ("coded", "coded_at", "decisions", "kept", "rows")

    def __init__(self, stored: StoredIncident) -> None:
        self.coded_at = stored.coded_at
        self.coded = None if stored.coded is None else messages.coded_from(stored.coded, region=stored.region)
        self.kept = dict(stored.decisions)
        self.decisions = {key: messages.decision_from(decision) for key, decision in stored.decisions.items()}
        self.rows = Rows()


_NOTHING = StoredIncident(coded_at=None, coded=None, region=None, decisions={})


def _concerned(entry: Entry) -> Iterable[str]:
    """Yield the incidents that an entry speaks of."""
    match entry.kind:
        case IncidentCoded.type | ViolationDecided.type:
            yield entry.subject
        case ViolationLinked.type | ViolationUnlinked.type:
            yield incident_and_key(entry.fact["violation"])[0]
            yield incident_and_key(entry.fact["of"])[0]
        case _:
            return


def _pair(entry: Entry) -> tuple[str, str]:
    one, other = sorted((entry.fact["child"], entry.fact["of"]))
    return one, other
