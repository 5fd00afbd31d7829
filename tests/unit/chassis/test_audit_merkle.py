"""The tree of RFC 6962: known answers, and laws that hold for every size."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.audit.merkle import (
    EMPTY_ROOT,
    GrowingTree,
    Head,
    Node,
    Range,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    node_hash,
    nodes_of,
    range_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The inputs and roots that implementations of Certificate Transparency check themselves against.
INPUTS = [
    bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSIONS = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCIES = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        6,
        7,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
]
sizes = st.integers(min_value=1, max_value=130)


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def stored(hashes: list[bytes]) -> dict[Node, bytes]:
    tree, nodes = GrowingTree(), {}
    for position, hashed in enumerate(hashes):
        nodes[Node(0, position)] = hashed
        nodes.update(tree.append(hashed))
    return nodes


def proof(ranges: list[Range], nodes: dict[Node, bytes]) -> list[bytes]:
    return [range_hash(wanted, {node: nodes[node] for node in nodes_of([wanted])}) for wanted in ranges]


def by_definition(hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(by_definition(hashes[:split]), by_definition(hashes[split:]))


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_known_ones(size: int) -> None:
    assert root_of([leaf_hash(content) for content in INPUTS[:size]]).hex() == ROOTS[size]


@pytest.mark.parametrize(("position", "size", "expected"), INCLUSIONS)
def test_inclusion_proofs_are_the_known_ones(position: int, size: int, expected: list[str]) -> None:
    hashes = [leaf_hash(content) for content in INPUTS]
    path = proof(inclusion_ranges(position, size), stored(hashes))
    assert [step.hex() for step in path] == expected
    assert verify_inclusion(hashes[position], position=position, size=size, proof=path, root=bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new", "expected"), CONSISTENCIES)
def test_consistency_proofs_are_the_known_ones(old: int, new: int, expected: list[str]) -> None:
    path = proof(consistency_ranges(old, new), stored([leaf_hash(content) for content in INPUTS]))
    assert [step.hex() for step in path] == expected
    assert verify_consistency(Head(old, bytes.fromhex(ROOTS[old])), Head(new, bytes.fromhex(ROOTS[new])), path)


@given(size=st.integers(min_value=0, max_value=300))
def test_a_tree_that_grows_has_the_root_of_the_definition(size: int) -> None:
    hashes = leaves(size)
    assert root_of(hashes) == by_definition(hashes)
    nodes = stored(hashes)
    assert range_hash(Range(0, size), nodes) == by_definition(hashes)
    assert len(nodes) == 2 * size - size.bit_count()


@given(size=sizes, more=st.integers(min_value=0, max_value=70))
def test_a_tree_goes_on_from_its_edge(size: int, more: int) -> None:
    hashes = leaves(size + more)
    nodes = stored(hashes[:size])
    tree = GrowingTree(size, [nodes[node] for node in Range(0, size).nodes()])
    for hashed in hashes[size:]:
        tree.append(hashed)
    assert (tree.size, tree.root()) == (size + more, by_definition(hashes))


@given(data=st.data(), size=sizes)
def test_every_leaf_is_proven_to_be_in_its_place_and_nothing_else_is(data: st.DataObject, size: int) -> None:
    hashes = leaves(size)
    root, nodes = by_definition(hashes), stored(hashes)
    position = data.draw(st.integers(min_value=0, max_value=size - 1))
    path = proof(inclusion_ranges(position, size), nodes)
    assert verify_inclusion(hashes[position], position=position, size=size, proof=path, root=root)
    elsewhere = data.draw(st.integers(min_value=-1, max_value=size + 1))
    if elsewhere != position:
        assert not verify_inclusion(hashes[position], position=elsewhere, size=size, proof=path, root=root)
    assert not verify_inclusion(leaf_hash(b"another"), position=position, size=size, proof=path, root=root)
    assert not verify_inclusion(hashes[position], position=position, size=size, proof=[*path, root], root=root)
    if path:
        assert not verify_inclusion(hashes[position], position=position, size=size, proof=path[:-1], root=root)
        changed = data.draw(st.integers(min_value=0, max_value=len(path) - 1))
        wrong = [leaf_hash(step) if index == changed else step for index, step in enumerate(path)]
        assert not verify_inclusion(hashes[position], position=position, size=size, proof=wrong, root=root)


@given(data=st.data(), new=sizes)
def test_a_longer_tree_is_proven_to_continue_a_shorter_one_and_no_other(data: st.DataObject, new: int) -> None:
    hashes = leaves(new)
    old = data.draw(st.integers(min_value=0, max_value=new))
    older, newer = Head(old, by_definition(hashes[:old])), Head(new, by_definition(hashes))
    path = proof(consistency_ranges(old, new), stored(hashes))
    assert verify_consistency(older, newer, path)
    assert not verify_consistency(Head(old, leaf_hash(b"another")), newer, path)
    if old:
        assert not verify_consistency(older, Head(new, leaf_hash(b"another")), path)
        assert not verify_consistency(older, newer, [*path, older.root])
    if path:
        assert not verify_consistency(older, newer, path[:-1])
        changed = data.draw(st.integers(min_value=0, max_value=len(path) - 1))
        assert not verify_consistency(older, newer, [leaf_hash(step) if index == changed else step for index, step in enumerate(path)])
    if old < new:
        assert not verify_consistency(newer, older, path)


@given(data=st.data(), new=st.integers(min_value=2, max_value=60))
def test_a_rewritten_past_has_no_proof_from_any_of_its_parts(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(min_value=1, max_value=new - 1))
    changed = data.draw(st.integers(min_value=0, max_value=old - 1))
    hashes = leaves(new)
    rewritten = [leaf_hash(b"rewritten") if index == changed else hashed for index, hashed in enumerate(hashes)]
    path = proof(consistency_ranges(old, new), stored(rewritten))
    assert not verify_consistency(Head(old, by_definition(hashes[:old])), Head(new, by_definition(rewritten)), path)


def test_there_are_no_proofs_of_what_cannot_be() -> None:
    for position, size in ((0, 0), (5, 5), (-1, 3)):
        with pytest.raises(ValueError, match="no such leaf"):
            inclusion_ranges(position, size)
    with pytest.raises(ValueError, match="does not shrink"):
        consistency_ranges(3, 2)
    with pytest.raises(ValueError, match="does not fit"):
        GrowingTree(3, [EMPTY_ROOT])


def test_proofs_in_a_tree_of_three_trillion_leaves_are_short() -> None:
    size = 3_298_534_883_328 + 12_345
    assert len(inclusion_ranges(size - 2, size)) <= 64
    assert len(nodes_of(consistency_ranges(1_099_511_627_776 + 4097, size))) <= 128
