"""What Kafka's own tools make of our words."""

from local_stack.kafka import new_cluster_id


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    """One in sixty-four began with a dash, and formatting failed."""
    found = [new_cluster_id() for _ in range(2000)]
    assert not [one for one in found if one.startswith("-")]
    assert {len(one) for one in found} == {22}
    assert len(set(found)) == len(found)
